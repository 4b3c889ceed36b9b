//! Collects calls until they are whole: Ollama's clients know no parts of them.

use base::{Piece, RequestId};
use serde_json::value::RawValue;

use super::Said;
use crate::ollama::model::{CalledFunctionOut, ToolCallOut};

#[derive(Debug)]
pub(super) struct Collect {
    id: RequestId,
    /// The call that is being made.
    growing: Option<Growing>,
}

#[derive(Debug)]
struct Growing {
    index: u32,
    name: String,
    arguments: String,
}

impl Collect {
    pub(super) fn new(id: RequestId) -> Self {
        Self { id, growing: None }
    }

    /// What a piece adds to what can be told.
    pub(super) fn tell(&mut self, piece: Piece) -> Said {
        let mut said = Said::default();
        match piece {
            Piece::Text(words) => {
                said.calls.extend(self.end());
                said.words = words;
            }
            Piece::Reasoning(thoughts) => {
                said.calls.extend(self.end());
                said.thoughts = thoughts;
            }
            Piece::ToolCall { index, name } => {
                said.calls.extend(self.end());
                self.growing = Some(Growing {
                    index,
                    name,
                    arguments: String::new(),
                });
            }
            // Calls come one after the other, so these are of the one that grows.
            Piece::Arguments { text, .. } => {
                if let Some(growing) = &mut self.growing {
                    growing.arguments.push_str(&text);
                }
            }
        }
        said
    }

    /// The last call. One that was cut off is none: the reason why the answer ended says so.
    pub(super) fn end(&mut self) -> Option<ToolCallOut> {
        let growing = self.growing.take()?;
        let text = growing.arguments.trim();
        let text = if text.is_empty() { "{}" } else { text };
        let arguments = RawValue::from_string(text.to_owned()).ok()?;
        arguments.get().starts_with('{').then(|| ToolCallOut {
            id: format!("call_{}{:04}", self.id, growing.index),
            function: CalledFunctionOut {
                index: growing.index,
                name: growing.name,
                arguments,
            },
        })
    }
}

impl Said {
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.thoughts.is_empty() && self.calls.is_empty()
    }
}
