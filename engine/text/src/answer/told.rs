//! Tools in words, for models whose template does not know them: what there is stands in the system message, calls and
//! their results are turns of the conversation.

use std::borrow::Cow;
use std::fmt::Write;

use base::{Conversation, Message, Role, Tool, ToolChoice};
use serde_json::{Value, json};

use super::family::{HERMES, Syntax};
use super::written;

/// The conversation without anything but words.
pub fn in_words(conversation: &Conversation) -> Cow<'_, Conversation> {
    let plain = |message: &Message| message.role != Role::Tool && message.tool_calls.is_empty();
    if conversation.tools.is_empty() && conversation.messages.iter().all(plain) {
        return Cow::Borrowed(conversation);
    }
    let mut messages: Vec<Message> = Vec::with_capacity(conversation.messages.len() + 1);
    for message in &conversation.messages {
        match (messages.last_mut(), worded(message)) {
            // Several results make one turn: many templates want the roles to alternate.
            (Some(last), next) if message.role == Role::Tool && last.role == next.role => {
                last.content = format!("{}\n{}", last.content, next.content);
            }
            (_, next) => messages.push(next),
        }
    }
    if !conversation.tools.is_empty() && conversation.tool_choice != ToolChoice::None {
        tell(&mut messages, &conversation.tools, &HERMES);
    }
    Cow::Owned(Conversation {
        messages,
        effort: conversation.effort,
        must_think: conversation.must_think,
        ..Conversation::default()
    })
}

fn worded(message: &Message) -> Message {
    if message.role == Role::Tool {
        let result = format!("<tool_response>\n{}\n</tool_response>", message.content);
        return Message::new(Role::User, result);
    }
    let mut worded = message.clone();
    for call in worded.tool_calls.drain(..) {
        let gap = if worded.content.is_empty() { "" } else { "\n" };
        worded.content = format!(
            "{}{gap}{}",
            worded.content,
            written::calls(&HERMES, &[call], 0)
        );
    }
    worded
}

/// Says what tools there are, and how they are called, in the first message.
pub fn tell(messages: &mut Vec<Message>, tools: &[Tool], syntax: &Syntax) {
    let mut words = String::from("You can call these functions:\n<tools>\n");
    for tool in tools {
        let parameters: Value = serde_json::from_str(&tool.parameters).unwrap_or(Value::Null);
        let function = json!({
            "name": tool.name, "description": tool.description, "parameters": parameters,
        });
        // Writing to a string succeeds.
        let _ = writeln!(words, "{function}");
    }
    let example = written::example(syntax);
    let _ = write!(
        words,
        "</tools>\nTo call one, answer with its name and arguments in this form:\n{example}"
    );
    match messages.first_mut() {
        Some(first) if first.role == Role::System => {
            first.content = format!("{}\n\n{words}", first.content);
        }
        _ => messages.insert(0, Message::new(Role::System, words)),
    }
}
