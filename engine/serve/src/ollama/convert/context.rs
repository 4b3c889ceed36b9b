//! The numbers with which a request to generate goes on from an earlier one: its turns, packed. Clients give them back as
//! they came.

use base::{Failure, Message, Role};
use serde::{Deserialize, Serialize};

use super::invalid;
use crate::openai::Count;

/// What one said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who.
    role: Speaker,
    /// What.
    content: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Speaker {
    System,
    User,
    Assistant,
}

/// Before anything else, so that other numbers are not taken for turns.
const MARK: u32 = 0x65_73_70;
/// Three bytes for each number: small enough for a client that keeps them as it likes.
const BYTES: usize = 3;

impl Turn {
    /// As it was said in a conversation; answers of tools are never part of this.
    pub(in crate::ollama) fn of(message: &Message) -> Self {
        Self {
            role: match message.role {
                Role::System => Speaker::System,
                Role::User | Role::Tool => Speaker::User,
                Role::Assistant => Speaker::Assistant,
            },
            content: message.content.clone(),
        }
    }

    pub(super) fn message(self) -> Message {
        let role = match self.role {
            Speaker::System => Role::System,
            Speaker::User => Role::User,
            Speaker::Assistant => Role::Assistant,
        };
        Message::new(role, self.content)
    }
}

/// The numbers for some turns.
pub(in crate::ollama) fn encode(turns: &[Turn]) -> Vec<u32> {
    // Strings alone, which are always JSON.
    let bytes = serde_json::to_vec(turns).unwrap_or_default();
    let packed = bytes.chunks(BYTES).map(|chunk| {
        let byte = |at| chunk.get(at).copied().map_or(0, u32::from);
        byte(0) << 16 | byte(1) << 8 | byte(2)
    });
    let head = [MARK, bytes.len() as u32];
    head.into_iter().chain(packed).collect()
}

/// The turns of some numbers; no numbers are no turns.
pub(super) fn decode(numbers: &[Count]) -> Result<Vec<Turn>, Failure> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    unpacked(numbers).ok_or_else(|| {
        let failure = invalid("context", "is not one that this server gave");
        failure.hint("send the one of an earlier answer as it came, or use /api/chat")
    })
}

fn unpacked(numbers: &[Count]) -> Option<Vec<Turn>> {
    let [Count(MARK), Count(length), packed @ ..] = numbers else {
        return None;
    };
    let bytes = packed.iter().flat_map(|Count(number)| {
        let [_, bytes @ ..] = number.to_be_bytes();
        bytes
    });
    let bytes: Vec<u8> = bytes.take(*length as usize).collect();
    if bytes.len() != *length as usize {
        return None;
    }
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(numbers: &[u32]) -> Vec<Count> {
        numbers.iter().copied().map(Count).collect()
    }

    #[test]
    fn turns_come_back_as_they_were() {
        for said in ["", "a", "ab", "abc", "Grüße \u{1f33f}\n\"x\""] {
            let turns = vec![
                Turn::of(&Message::new(Role::System, "Be brief.")),
                Turn::of(&Message::new(Role::User, said)),
                Turn::of(&Message::new(Role::Assistant, said)),
            ];
            let numbers = encode(&turns);
            assert!(numbers.iter().all(|number| *number < 1 << 24));
            assert_eq!(decode(&counts(&numbers)).unwrap(), turns);
        }
        assert_eq!(decode(&[]).unwrap(), []);
    }

    #[test]
    fn numbers_of_others_are_refused() {
        let whole = encode(&[Turn::of(&Message::new(Role::User, "Hello"))]);
        let mut cut = whole.clone();
        cut.pop();
        let mut long = whole;
        long[1] = u32::MAX;
        for numbers in [vec![1, 2, 3], vec![MARK], vec![MARK, 0], cut, long] {
            let failure = decode(&counts(&numbers)).unwrap_err();
            assert!(failure.message.contains("context"), "{failure}");
        }
    }
}
