//! Calls in a grammar: one or several, with text before them or alone.

use base::{Conversation, ErrorCode, Failure, Tool, ToolChoice};
use serde_json::{Value, json};

use super::arguments;
use super::rules::{Rules, regex_of};
use crate::answer::family::{Body, Pair};
use crate::answer::written;

/// Calls of an answer that may call several times.
const CALLS_MAX: usize = 8;

/// Whether a call comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// None does.
    None,
    /// If the model likes to.
    Perhaps,
    /// At least one.
    Certainly,
}

/// Adds calls of the tools that may be called, as the rule `calls`.
pub fn add(
    rules: &mut Rules<'_>,
    conversation: &Conversation,
    calls: Calls,
) -> Result<(), Failure> {
    let syntax = rules.format.syntax;
    let Pair { open, close } = syntax.section.unwrap_or(Pair {
        open: "",
        close: "",
    });
    let close = rules.literal(&format!("{}{close}", syntax.section_break));
    let more = more(rules, conversation);
    if calls != Calls::Perhaps {
        add_each(rules, conversation, "")?;
        let open = rules.literal(&format!("{open}{}", syntax.section_break));
        rules.add("calls", &format!("{open} call {more} {close}"));
        return Ok(());
    }
    // Where text may come first, it takes the first mark with it.
    let (mark, taken) = if open.is_empty() {
        (syntax.call.open, syntax.call.open)
    } else {
        (open, "")
    };
    add_each(rules, conversation, taken)?;
    let first = if taken.is_empty() {
        "call"
    } else {
        "first_call"
    };
    let gap = rules.literal(syntax.section_break);
    add_text_or_calls(rules, mark, &format!("{gap} {first} {more} {close}"));
    Ok(())
}

/// Adds the rule `call`, and `first_call` for one whose first mark was `taken` away, if it was.
fn add_each(
    rules: &mut Rules<'_>,
    conversation: &Conversation,
    taken: &str,
) -> Result<(), Failure> {
    let syntax = rules.format.syntax;
    let is_free = conversation.tool_choice == ToolChoice::Auto;
    let tools: Vec<&Tool> = if is_free {
        conversation.tools.iter().collect()
    } else {
        conversation.must_call().collect()
    };
    let (mut calls, mut first) = (Vec::new(), Vec::new());
    for (at, tool) in tools.into_iter().enumerate() {
        let name = format!("call_{at}");
        let (open, close) = written::around(syntax, &tool.name, "$index");
        let schema = if tool.strict || !is_free {
            parameters(tool)?
        } else {
            json!({"type": "object"})
        };
        let arguments = arguments::add(rules, &name, schema);
        let close = match syntax.body {
            // It ends the answer.
            Body::Headed { .. } => String::new(),
            Body::Json { .. } | Body::Tagged(_) => rules.literal(&close),
        };
        let rest = rules.literal(open.strip_prefix(taken).unwrap_or(&open));
        let open = rules.literal(&open);
        rules.add(&name, &format!("{open} {arguments} {close}"));
        first.push(format!("({rest} {arguments} {close})"));
        calls.push(name);
    }
    rules.add("call", &calls.join(" | "));
    if !taken.is_empty() {
        rules.add("first_call", &first.join(" | "));
    }
    Ok(())
}

/// Further calls after the first.
fn more(rules: &Rules<'_>, conversation: &Conversation) -> String {
    let syntax = rules.format.syntax;
    let may_repeat = conversation.parallel_tool_calls
        && !matches!(conversation.tool_choice, ToolChoice::Named(_))
        && !matches!(syntax.body, Body::Headed { .. });
    if !may_repeat {
        return String::new();
    }
    let gap = rules.literal(syntax.gap);
    format!("({gap} call){{0,{}}}", CALLS_MAX - 1)
}

/// Adds text without calls, or text and then calls, whose first mark the text has taken with it.
fn add_text_or_calls(rules: &mut Rules<'_>, first_mark: &str, after: &str) {
    if let Body::Headed { .. } = rules.format.syntax.body {
        let said = rules.literal("<|channel|>final<|message|>");
        let aside = rules.literal("<|channel|>commentary<|message|>");
        let end = rules.until("aside", "<|end|>");
        let next = rules.literal("<|start|>assistant");
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
        let mark = regex_of(first_mark);
        format!("/(.|\\n)*/ & ~/(.|\\n)*{mark}(.|\\n)*/")
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
