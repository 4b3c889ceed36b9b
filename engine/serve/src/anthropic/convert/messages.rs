//! The conversation: turns of blocks become turns as chat templates know them.

use std::collections::HashMap;

use base::{Failure, Message, Role};

use super::blocks::{Said, said, texts};
use super::{invalid, missing};
use crate::anthropic::model::{Content, MessageIn};
use crate::json::Object;

/// How Claude Code's first block of instructions begins, which is for Anthropic's accounting and differs from request to
/// request: left in, no two prompts would begin alike, and nothing of them would be found again. Only the line with this
/// mark is left out, and only where it is the very first of `system`: anywhere else it is the user's own.
const BILLING_MARK: &str = "x-anthropic-billing-header:";

/// Turns of one speaker that follow each other, taken together.
struct Turn {
    role: Role,
    said: Vec<Said>,
}

pub(super) fn messages(
    system: Option<Content>,
    messages: Option<Vec<Object<MessageIn>>>,
) -> Result<Vec<Message>, Failure> {
    let messages = messages.ok_or_else(|| missing("messages"))?;
    if messages.is_empty() {
        let failure = invalid("messages", "is empty");
        return Err(failure.hint("send at least one message, for example from the user"));
    }
    let mut turns = Vec::new();
    if let Some(system) = system {
        let mut texts = texts(system, "system")?;
        if let Some(first) = texts.first_mut() {
            *first = without_billing(std::mem::take(first));
        }
        add(&mut turns, Role::System, instructions(texts));
    }
    for (index, Object(message)) in messages.into_iter().enumerate() {
        let at = format!("messages[{index}]");
        let role = role(message.role.as_deref(), &format!("{at}.role"))?;
        let at = format!("{at}.content");
        let content = message.content.ok_or_else(|| missing(&at))?;
        let said = match role {
            Role::System => instructions(texts(content, &at)?),
            Role::User | Role::Assistant | Role::Tool => said(content, &at)?,
        };
        check(role, &said, &at)?;
        add(&mut turns, role, said);
    }
    if turns
        .last()
        .is_some_and(|turn| turn.role == Role::Assistant)
    {
        let what = "end with words of the assistant, and an answer cannot be begun for the model";
        return Err(invalid("messages", what).hint("end with a message of the user"));
    }
    let mut written = Written::default();
    for turn in turns {
        written.turn(turn);
    }
    if written
        .messages
        .iter()
        .all(|message| message.role == Role::System)
    {
        return Err(invalid("messages", "say nothing"));
    }
    Ok(written.messages)
}

fn role(name: Option<&str>, at: &str) -> Result<Role, Failure> {
    match name {
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some("system") => Ok(Role::System),
        Some(_) => Err(invalid(at, "must be user, assistant or system")),
        None => Err(missing(at)),
    }
}

fn instructions(texts: Vec<String>) -> Vec<Said> {
    texts.into_iter().map(Said::Text).collect()
}

fn without_billing(text: String) -> String {
    if !text.starts_with(BILLING_MARK) {
        return text;
    }
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    rest.trim_start().to_string()
}

/// Each speaker has blocks of their own.
fn check(role: Role, said: &[Said], at: &str) -> Result<(), Failure> {
    for said in said {
        match (role, said) {
            (Role::User, Said::Call(_) | Said::Thought(_)) => {
                return Err(invalid(
                    at,
                    "has blocks that only the assistant's turns have",
                ));
            }
            (Role::Assistant, Said::Result { .. }) => {
                return Err(invalid(
                    at,
                    "has results of tools, which are the user's to send",
                ));
            }
            (Role::User | Role::Assistant | Role::System | Role::Tool, _) => {}
        }
    }
    Ok(())
}

/// Adds to the last turn if that is the same speaker's. What is empty is no turn.
fn add(turns: &mut Vec<Turn>, role: Role, said: Vec<Said>) {
    let full =
        |said: &Said| !matches!(said, Said::Text(text) | Said::Thought(text) if text.is_empty());
    let said: Vec<Said> = said.into_iter().filter(full).collect();
    match turns.last_mut() {
        _ if said.is_empty() => {}
        Some(last) if last.role == role => last.said.extend(said),
        Some(_) | None => turns.push(Turn { role, said }),
    }
}

/// The conversation as far as it is written.
#[derive(Default)]
struct Written {
    messages: Vec<Message>,
    /// Names of tools by the ids of their calls.
    called: HashMap<String, String>,
}

impl Written {
    /// A user's turn becomes one message for each result of a tool, and one for the words: templates want results
    /// right after their calls.
    fn turn(&mut self, turn: Turn) {
        let mut spoken = Message::new(turn.role, "");
        for said in turn.said {
            match said {
                Said::Text(text) => join(&mut spoken.content, &text),
                Said::Thought(text) => join(&mut spoken.reasoning, &text),
                Said::Call(call) => {
                    self.called.insert(call.id.clone(), call.name.clone());
                    spoken.tool_calls.push(call);
                }
                Said::Result { id, text } => self.messages.push(Message {
                    name: self.called.get(&id).cloned(),
                    tool_call_id: Some(id),
                    ..Message::new(Role::Tool, text)
                }),
            }
        }
        let is_silent = spoken.content.is_empty()
            && spoken.reasoning.is_empty()
            && spoken.tool_calls.is_empty();
        if !is_silent {
            self.messages.push(spoken);
        }
    }
}

/// A line each: nothing says how blocks join, and glued together words would merge.
fn join(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
}
