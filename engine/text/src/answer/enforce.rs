//! The grammar of an answer in which a call must come, or only valid ones may, or what was asked for after free thinking.

mod arguments;
mod rules;

use base::{Conversation, ErrorCode, Failure, Grammar, Tool, ToolChoice};
use serde_json::{Value, json};

use super::family::{Bare, Body};
use super::{AnswerFormat, written};
use crate::grammar::{kept_to, unanchored};
use rules::{Rules, regex_of};

/// Calls of an answer that may call several times.
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

/// Whether a call comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calls {
    None,
    Perhaps,
    Certainly,
}

/// See [`AnswerFormat::grammar`](super::AnswerFormat::grammar).
pub fn grammar(
    format: &AnswerFormat,
    conversation: &Conversation,
    asked: Option<&Grammar>,
    thinking: Thinking,
) -> Result<Option<Grammar>, Failure> {
    let calls = match conversation.tool_choice {
        ToolChoice::Required | ToolChoice::Named(_) => Calls::Certainly,
        ToolChoice::Auto if !conversation.tools.is_empty() => Calls::Perhaps,
        ToolChoice::Auto | ToolChoice::None => Calls::None,
    };
    let mut rules = Rules::new(format);
    let rest = match (calls, asked) {
        (Calls::Certainly, _) => {
            must_call(conversation)?;
            add_calls(&mut rules, conversation, Calls::Certainly)?;
            "calls"
        }
        // It has a beginning of its own, before which nothing can be put.
        (_, Some(asked @ Grammar::Lark(_))) => return Ok(Some(asked.clone())),
        (Calls::None, Some(asked)) if thinking == Thinking::Never => {
            return Ok(Some(asked.clone()));
        }
        (Calls::None, Some(asked)) => {
            add_body(&mut rules, asked)?;
            "body"
        }
        (Calls::Perhaps, Some(asked)) => {
            add_body(&mut rules, asked)?;
            add_calls(&mut rules, conversation, Calls::Certainly)?;
            rules.add("body_or_calls", "body | calls");
            "body_or_calls"
        }
        (Calls::Perhaps, None) if is_strict(conversation, format) => {
            add_calls(&mut rules, conversation, Calls::Perhaps)?;
            "calls"
        }
        (Calls::Perhaps | Calls::None, None) => return Ok(None),
    };
    add_thinking(&mut rules, thinking, rest);
    Ok(Some(Grammar::Lark(rules.text())))
}

/// Whether what is called freely must be valid. Where JSON alone is a call nothing tells it from JSON that is said.
fn is_strict(conversation: &Conversation, format: &AnswerFormat) -> bool {
    conversation.tools.iter().any(|tool| tool.strict) && format.syntax.bare != Bare::AtEdges
}

fn must_call(conversation: &Conversation) -> Result<(), Failure> {
    if conversation.must_call().next().is_some() {
        return Ok(());
    }
    let message = match &conversation.tool_choice {
        ToolChoice::Named(name) => format!("there is no tool {name:?} to be called"),
        ToolChoice::Auto | ToolChoice::None | ToolChoice::Required => {
            "a tool must be called and there is none".to_owned()
        }
    };
    let failure = Failure::new(ErrorCode::InvalidRequest, message);
    Err(failure.hint("name the tool in tools").param("tool_choice"))
}

/// The first rule: thinking as it is allowed, then `rest`.
fn add_thinking(rules: &mut Rules<'_>, thinking: Thinking, rest: &str) {
    let Some(marks) = rules
        .format
        .thinking
        .filter(|_| thinking != Thinking::Never)
    else {
        rules.begin(rest);
        return;
    };
    let thought = rules.until("thought", marks.close);
    let after = match rules.format.syntax.body {
        Body::Headed { .. } => rules.literal("<|start|>assistant"),
        Body::Json { .. } | Body::Tagged(_) => {
            rules.add("blank", "/[ \\n]{0,4}/");
            "blank".to_owned()
        }
    };
    let open = rules.literal(marks.open);
    match thinking {
        Thinking::Already => rules.begin(&format!("{thought} {after} {rest}")),
        Thinking::Perhaps | Thinking::Never => {
            rules.begin(&format!("({open} {thought} {after})? {rest}"));
        }
    }
}

/// What was asked for, as the rule `body`.
fn add_body(rules: &mut Rules<'_>, asked: &Grammar) -> Result<(), Failure> {
    let body = match asked {
        Grammar::Lark(_) => return Ok(()),
        Grammar::Regex(pattern) => {
            format!(
                "/{}/",
                unanchored(pattern).replace('/', "\\/").replace('\n', "\\n")
            )
        }
        Grammar::JsonSchema(schema) => {
            let schema = serde_json::from_str(schema).map_err(|error| {
                let message = format!("the JSON schema cannot be used: {error}");
                Failure::new(ErrorCode::InvalidRequest, message).param("response_format")
            })?;
            format!("%json {}", kept_to(schema))
        }
    };
    match rules.format.syntax.body {
        Body::Headed { .. } => {
            let heading = rules.literal("<|channel|>final<|message|>");
            rules.add("asked", &body);
            rules.add("body", &format!("{heading} asked"));
        }
        Body::Json { .. } | Body::Tagged(_) => rules.add("body", &body),
    }
    Ok(())
}

/// Calls of the tools that may be called, as the rule `calls`.
fn add_calls(
    rules: &mut Rules<'_>,
    conversation: &Conversation,
    calls: Calls,
) -> Result<(), Failure> {
    let is_free = conversation.tool_choice == ToolChoice::Auto;
    let tools: Vec<&Tool> = if is_free {
        conversation.tools.iter().collect()
    } else {
        conversation.must_call().collect()
    };
    let syntax = rules.format.syntax;
    let names: Vec<String> = (0..tools.len()).map(|at| format!("call_{at}")).collect();
    // Where text may come first, it takes the first mark with it.
    let first_mark = match (calls, syntax.section) {
        (Calls::Perhaps, Some(section)) => section.open,
        (Calls::Perhaps, None) => syntax.call.open,
        (Calls::None | Calls::Certainly, _) => "",
    };
    let is_marked_alone = syntax.section.is_none() && !first_mark.is_empty();
    for (name, tool) in names.iter().zip(tools) {
        let (open, close) = written::around(syntax, &tool.name, "$index");
        let is_kept = tool.strict || !is_free;
        let schema = if is_kept {
            parameters(tool)?
        } else {
            json!({"type": "object"})
        };
        let arguments = arguments::add(rules, name, schema);
        let close = match syntax.body {
            // It ends the answer.
            Body::Headed { .. } => String::new(),
            Body::Json { .. } | Body::Tagged(_) => rules.literal(&close),
        };
        let bare = rules.literal(open.strip_prefix(first_mark).unwrap_or(&open));
        let open = rules.literal(&open);
        rules.add(name, &format!("{open} {arguments} {close}"));
        if is_marked_alone {
            rules.add(
                &format!("first_{name}"),
                &format!("{bare} {arguments} {close}"),
            );
        }
    }
    rules.add("call", &names.join(" | "));
    let may_repeat = !matches!(conversation.tool_choice, ToolChoice::Named(_))
        && !matches!(syntax.body, Body::Headed { .. });
    let more = if conversation.parallel_tool_calls && may_repeat {
        format!(
            "({} call){{0,{}}}",
            rules.literal(syntax.gap),
            CALLS_MAX - 1
        )
    } else {
        String::new()
    };
    let (open, close) = match syntax.section {
        Some(section) => (
            format!("{}{}", section.open, syntax.section_break),
            format!("{}{}", syntax.section_break, section.close),
        ),
        None => (String::new(), String::new()),
    };
    let close = rules.literal(&close);
    if calls != Calls::Perhaps {
        let open = rules.literal(&open);
        rules.add("calls", &format!("{open} call {more} {close}"));
        return Ok(());
    }
    let first = if is_marked_alone {
        let names: Vec<String> = names.iter().map(|name| format!("first_{name}")).collect();
        rules.add("first_call", &names.join(" | "));
        "first_call"
    } else {
        "call"
    };
    let after_mark = rules.literal(open.strip_prefix(first_mark).unwrap_or_default());
    add_text_or_calls(
        rules,
        first_mark,
        &format!("{after_mark} {first} {more} {close}"),
    );
    Ok(())
}

/// Text without calls, or text and then calls, whose first mark the text has taken with it.
fn add_text_or_calls(rules: &mut Rules<'_>, first_mark: &str, after: &str) {
    if let Body::Headed { .. } = rules.format.syntax.body {
        let said = rules.literal("<|channel|>final<|message|>");
        let aside = rules.literal("<|channel|>commentary<|message|>");
        let (end, next) = (
            rules.until("aside", "<|end|>"),
            rules.literal("<|start|>assistant"),
        );
        rules.add("free", "/(.|\\n)*/");
        rules.add(
            "calls",
            &format!("{said} free | ({aside} {end} {next})? call"),
        );
        return;
    }
    let lead = rules.until("lead", first_mark);
    let free = if rules.has_special(first_mark) {
        "/(.|\\n)*/".to_owned()
    } else {
        format!("/(.|\\n)*/ & ~/(.|\\n)*{}(.|\\n)*/", regex_of(first_mark))
    };
    rules.add("FREE", &free);
    rules.add("calls", &format!("FREE | {lead} {after}"));
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
