//! A conversation as templates know it from Hugging Face, with what each of them wants to be different.

use std::collections::HashMap;

use base::{Conversation, Message, Role, Tool, ToolCall};
use minijinja::Value;
use minijinja::value::Serde;
use serde_json::{Value as Json, json};

use super::habits::{CallHabits, Habits, Ids, Thoughts};

/// The messages of a conversation.
pub fn messages(conversation: &Conversation, habits: &Habits) -> Vec<Value> {
    let calls = habits.calls.unwrap_or_default();
    let mut messages = if calls.is_one_a_turn {
        one_call_a_turn(&conversation.messages)
    } else {
        conversation.messages.clone()
    };
    identify(&mut messages, calls.ids);
    if !habits.has_system {
        without_system(&mut messages);
    }
    let values = messages.iter().map(|message| value(message, habits, calls));
    values.map(|value| Value::from(Serde(value))).collect()
}

/// What a message does not have is not there.
fn value(message: &Message, habits: &Habits, calls: CallHabits) -> Json {
    let mut fields = json!({"role": role_name(message.role), "content": message.content});
    if message.content.is_empty() && calls.is_content_null && !message.tool_calls.is_empty() {
        fields["content"] = Json::Null;
    }
    if !message.reasoning.is_empty() {
        let reasoning = message.reasoning.as_str();
        match habits.thoughts {
            Thoughts::Field(field) => fields[field] = reasoning.into(),
            Thoughts::InsteadOfContent(field) if message.tool_calls.is_empty() => {
                fields[field] = reasoning.into();
            }
            Thoughts::InsteadOfContent(field) => {
                let gap = if message.content.is_empty() {
                    ""
                } else {
                    "\n\n"
                };
                fields[field] = format!("{reasoning}{gap}{}", message.content).into();
                fields["content"] = "".into();
            }
            Thoughts::Block => {
                let mut blocks = vec![json!({"type": "thinking", "thinking": reasoning})];
                if !message.content.is_empty() {
                    blocks.push(json!({"type": "text", "text": message.content}));
                }
                fields["content"] = blocks.into();
            }
        }
    }
    if !message.tool_calls.is_empty() {
        let call = |call| call_value(call, calls.is_text);
        fields["tool_calls"] = message.tool_calls.iter().map(call).collect();
    }
    if let Some(id) = &message.tool_call_id {
        fields["tool_call_id"] = id.as_str().into();
    }
    if let Some(name) = &message.name {
        fields["name"] = name.as_str().into();
    }
    fields
}

/// Arguments are a mapping, as most templates expect; what is none is given as it is.
fn call_value(call: &ToolCall, is_text: bool) -> Json {
    let object = serde_json::from_str(&call.arguments)
        .ok()
        .filter(|_| !is_text);
    let arguments = object.unwrap_or_else(|| Json::String(call.arguments.clone()));
    json!({
        "id": call.id, "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    })
}

/// Each call in a turn of its own, with its result after it.
fn one_call_a_turn(messages: &[Message]) -> Vec<Message> {
    let mut turns = Vec::with_capacity(messages.len());
    let mut rest = messages;
    // Each round takes one message at least.
    while let Some((message, after)) = rest.split_first() {
        let answers = after
            .iter()
            .take_while(|message| message.role == Role::Tool);
        let (mut results, after) = match message.tool_calls.len() {
            0 | 1 => (Vec::new(), after),
            _ => {
                let results: Vec<&Message> = answers.collect();
                let after = &after[results.len()..];
                (results, after)
            }
        };
        rest = after;
        if message.tool_calls.len() < 2 {
            turns.push(message.clone());
            continue;
        }
        for (at, call) in message.tool_calls.iter().enumerate() {
            let mut turn = Message::new(Role::Assistant, "");
            if at == 0 {
                turn.content.clone_from(&message.content);
                turn.reasoning.clone_from(&message.reasoning);
            }
            turn.tool_calls = vec![call.clone()];
            turns.push(turn);
            let answers = |result: &&Message| result.tool_call_id.as_deref() == Some(&call.id);
            if let Some(at) = results.iter().position(answers) {
                turns.push(results.remove(at).clone());
            }
        }
        turns.extend(results.into_iter().cloned());
    }
    turns
}

/// Gives calls the ids that the template wants, and their results the same ids and the tools' names.
fn identify(messages: &mut [Message], ids: Ids) {
    // The newest call of each id: some clients count anew in each turn.
    let mut known: HashMap<String, (String, String)> = HashMap::new();
    let mut count = 0;
    for message in messages {
        let mut within = 0;
        for call in &mut message.tool_calls {
            let id = match ids {
                Ids::Any => call.id.clone(),
                Ids::Nine => nine(&call.id),
                Ids::Counted => format!("functions.{}:{count}", call.name),
                Ids::CountedByTurn => format!("functions.{}:{within}", call.name),
            };
            (count, within) = (count + 1, within + 1);
            let before = std::mem::replace(&mut call.id, id.clone());
            known.insert(before, (id, call.name.clone()));
        }
        let answered = message.tool_call_id.as_ref().and_then(|id| known.get(id));
        if let Some((id, name)) = answered {
            message.tool_call_id = Some(id.clone());
            message.name.get_or_insert_with(|| name.clone());
        } else if let (Ids::Nine, Some(id)) = (ids, &mut message.tool_call_id) {
            *id = nine(id);
        }
    }
}

/// Nine letters and digits that stand for an id.
fn nine(id: &str) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id.to_owned();
    }
    // FNV-1a; nothing depends on it but that ids of one conversation differ.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    let mut digit = || {
        let digit = DIGITS[(hash % 36) as usize];
        hash /= 36;
        char::from(digit)
    };
    (0..9).map(|_| digit()).collect()
}

/// What the system says stands in the first turn of the user.
fn without_system(messages: &mut Vec<Message>) {
    let is_system = |message: &mut Message| message.role == Role::System;
    let said: Vec<Message> = messages.extract_if(.., is_system).collect();
    if said.is_empty() {
        return;
    }
    let said: Vec<&str> = said
        .iter()
        .map(|message| message.content.as_str())
        .collect();
    let said = said.join("\n\n");
    match messages
        .iter_mut()
        .find(|message| message.role == Role::User)
    {
        Some(user) => user.content = format!("{said}\n\n{}", user.content),
        None => messages.insert(0, Message::new(Role::User, said)),
    }
}

/// The tools as functions with a schema.
pub fn tools(tools: &[Tool]) -> Value {
    if tools.is_empty() {
        return Value::from(());
    }
    let value = |tool: &Tool| {
        let parameters: Json = serde_json::from_str(&tool.parameters).unwrap_or(Json::Null);
        let mut function = json!({"name": tool.name});
        if let Some(description) = &tool.description {
            function["description"] = description.as_str().into();
        }
        function["parameters"] = parameters;
        Value::from(Serde(json!({"type": "function", "function": function})))
    };
    tools.iter().map(value).collect()
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}
