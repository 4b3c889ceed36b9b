//! Turns as Ollama's clients write them, and as chat templates know them.

use base::{Failure, Message, Role, ToolCall};

use super::{invalid, missing, no_images, tools};
use crate::json::Object;
use crate::ollama::model::MessageIn;

pub(super) fn messages(messages: Vec<Object<MessageIn>>) -> Result<Vec<Message>, Failure> {
    let mut called: Vec<ToolCall> = Vec::new();
    let mut turns = Vec::new();
    for (index, Object(message)) in messages.into_iter().enumerate() {
        let at = format!("messages[{index}]");
        let mut turn = message_of(message, index, &at)?;
        if turn.role == Role::Tool {
            link(&mut turn, &mut called);
        }
        called.extend(turn.tool_calls.iter().cloned());
        turns.push(turn);
    }
    Ok(turns)
}

fn message_of(message: MessageIn, index: usize, at: &str) -> Result<Message, Failure> {
    let role = role(message.role.as_deref(), &format!("{at}.role"))?;
    if message.images.is_some_and(|images| images.any) {
        return Err(no_images(&format!("{at}.images")));
    }
    let calls = tools::calls(message.tool_calls, index, &format!("{at}.tool_calls"))?;
    let answers = |field: Option<String>| field.filter(|_| role == Role::Tool);
    let by_model = role == Role::Assistant;
    if !calls.is_empty() && !by_model {
        return Err(invalid(
            format!("{at}.tool_calls"),
            "are the assistant's to make",
        ));
    }
    Ok(Message {
        reasoning: message.thinking.filter(|_| by_model).unwrap_or_default(),
        tool_calls: calls,
        tool_call_id: answers(message.tool_call_id),
        name: answers(message.tool_name.or(message.name)),
        ..Message::new(role, message.content.unwrap_or_default())
    })
}

fn role(name: Option<&str>, at: &str) -> Result<Role, Failure> {
    let name = name.ok_or_else(|| missing(at))?.to_lowercase();
    match name.as_str() {
        "system" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" => Ok(Role::Tool),
        _ => Err(invalid(at, "must be system, user, assistant or tool")),
    }
}

/// A tool's answer names its call by id, by the tool's name or not at all; then it is the first that is not answered yet.
fn link(turn: &mut Message, called: &mut Vec<ToolCall>) {
    let meant = |call: &ToolCall| match (&turn.tool_call_id, &turn.name) {
        (Some(id), _) => call.id == *id,
        (None, Some(name)) => call.name == *name,
        (None, None) => true,
    };
    let Some(at) = called.iter().position(meant) else {
        return;
    };
    let call = called.remove(at);
    turn.tool_call_id.get_or_insert(call.id);
    turn.name.get_or_insert(call.name);
}
