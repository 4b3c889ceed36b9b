//! Conversations for strict templates, which know instructions at the beginning alone and want speakers to take turns.
//!
//! Agents put instructions between turns (Claude Code after the first question, others after each). Such a template
//! refuses them, so they are told as the user's words.

use base::{Message, Role};

/// The conversation without later instructions; `None` if there are none.
pub(super) fn taken(messages: &[Message]) -> Option<Vec<Message>> {
    let first = messages.iter().take_while(|turn| is_instruction(turn));
    let first = first.count();
    if !messages[first..].iter().any(is_instruction) {
        return None;
    }
    let mut taken: Vec<Message> = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let mut turn = message.clone();
        if index >= first && is_instruction(message) {
            turn.role = Role::User;
        }
        match taken.last_mut() {
            Some(last) if last.role == turn.role && is_plain(turn.role) => {
                last.content = format!("{}\n\n{}", last.content, turn.content);
            }
            Some(_) | None => taken.push(turn),
        }
    }
    Some(taken)
}

fn is_instruction(message: &Message) -> bool {
    message.role == Role::System
}

/// Whether turns of this speaker are words alone.
fn is_plain(role: Role) -> bool {
    match role {
        Role::System | Role::User => true,
        Role::Assistant | Role::Tool => false,
    }
}
