//! The grammar of an answer in which a call must come, or only valid ones may, or what was asked for after free thinking.

mod arguments;
mod calls;
mod rules;

use base::{Conversation, ErrorCode, Failure, Grammar, ToolChoice};

use super::AnswerFormat;
use super::family::{Bare, Body};
use crate::grammar::{kept_to, unanchored};
use calls::Calls;
use rules::Rules;

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
            calls::add(&mut rules, conversation, Calls::Certainly)?;
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
            calls::add(&mut rules, conversation, Calls::Certainly)?;
            rules.add("body_or_calls", "body | calls");
            "body_or_calls"
        }
        (Calls::Perhaps, None) if is_strict(conversation, format) => {
            calls::add(&mut rules, conversation, Calls::Perhaps)?;
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
