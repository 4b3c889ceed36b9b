//! The grammar of an answer in which a call must come, or what was asked for after free thinking.

use base::{Conversation, ErrorCode, Failure, Grammar, Tool, ToolChoice};
use serde_json::Value;

use super::{CALL, CALLED, THINK, THOUGHT};
use crate::grammar::{kept_to, unanchored};

/// Calls of an answer that must call and may call several times.
const CALLS_MAX: usize = 8;

/// Whether the model thinks before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// It does not.
    Never,
    /// If it likes to.
    Perhaps,
    /// The answer begins in the middle of it.
    Already,
}

/// See [`AnswerFormat::grammar`](super::AnswerFormat::grammar).
pub fn grammar(
    conversation: &Conversation,
    asked: Option<&Grammar>,
    thinking: Thinking,
) -> Result<Option<Grammar>, Failure> {
    if matches!(
        conversation.tool_choice,
        ToolChoice::Auto | ToolChoice::None
    ) {
        return asked.map(|asked| after(thinking, asked)).transpose();
    }
    let tools: Vec<&Tool> = conversation.must_call().collect();
    if tools.is_empty() {
        let message = match &conversation.tool_choice {
            ToolChoice::Named(name) => format!("there is no tool {name:?} to be called"),
            _ => "a tool must be called and there is none".to_owned(),
        };
        let failure = Failure::new(ErrorCode::InvalidRequest, message);
        return Err(failure.hint("name the tool in tools").param("tool_choice"));
    }
    let many = conversation.parallel_tool_calls && conversation.tool_choice == ToolChoice::Required;
    let more = if many {
        format!(" (\"\\n\" call){{0,{}}}", CALLS_MAX - 1)
    } else {
        String::new()
    };
    let beginning = beginning(thinking, "calls");
    let (open, close) = (quoted(&format!("{CALL}\n")), quoted(&format!("\n{CALLED}")));
    let mut rules = vec![
        format!("{beginning}calls: call{more}"),
        format!("call: {open} call_body {close}"),
    ];
    let names: Vec<String> = (0..tools.len()).map(|at| format!("call_{at}")).collect();
    rules.push(format!("call_body: {}", names.join(" | ")));
    for (name, tool) in names.iter().zip(tools) {
        let head = format!("{{\"name\": {}, \"arguments\": ", quoted(&tool.name));
        let arguments = kept_to(parameters(tool)?);
        rules.push(format!("{name}: {} {name}_arguments \"}}\"", quoted(&head)));
        rules.push(format!("{name}_arguments: %json {arguments}"));
    }
    Ok(Some(Grammar::Lark(rules.join("\n"))))
}

/// What was asked for, after what is thought.
fn after(thinking: Thinking, asked: &Grammar) -> Result<Grammar, Failure> {
    let body = match asked {
        _ if thinking == Thinking::Never => return Ok(asked.clone()),
        // It has a beginning of its own, before which nothing can be put.
        Grammar::Lark(_) => return Ok(asked.clone()),
        Grammar::Regex(pattern) => {
            let pattern = unanchored(pattern).replace('/', "\\/").replace('\n', "\\n");
            format!("/{pattern}/")
        }
        Grammar::JsonSchema(schema) => {
            let schema = serde_json::from_str(schema).map_err(|error| {
                let message = format!("the JSON schema cannot be used: {error}");
                Failure::new(ErrorCode::InvalidRequest, message).param("response_format")
            })?;
            format!("%json {}", kept_to(schema))
        }
    };
    let beginning = beginning(thinking, "body");
    Ok(Grammar::Lark(format!("{beginning}body: {body}")))
}

/// The first rules: thinking as it is allowed, then `rest`.
fn beginning(thinking: Thinking, rest: &str) -> String {
    let thought = format!("thought[suffix={}]: /(.|\\n)*/\n", quoted(THOUGHT));
    let blank = "blank: /[ \\n]{0,4}/\n";
    match thinking {
        Thinking::Never => format!("start: {rest}\n"),
        Thinking::Already => format!("start: thought blank {rest}\n{thought}{blank}"),
        Thinking::Perhaps => {
            let think = quoted(THINK);
            format!("start: ({think} thought blank)? {rest}\n{thought}{blank}")
        }
    }
}

/// As a string of a grammar, which is written as in JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn parameters(tool: &Tool) -> Result<Value, Failure> {
    let schema = serde_json::from_str(&tool.parameters);
    schema.map_err(|error| {
        let message = format!(
            "the parameters of {:?} are no JSON schema: {error}",
            tool.name
        );
        Failure::new(ErrorCode::InvalidRequest, message).param("tools")
    })
}
