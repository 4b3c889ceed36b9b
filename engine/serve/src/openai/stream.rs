//! From the events of generations to `OpenAI`'s answers, whole and in chunks. Pure.

mod call;
mod chat;
mod completion;
mod frames;
mod token;

use base::{FinishReason, GenerateEvent};
use serde::Serialize;

pub(super) use chat::{ChatExtras, ChatStream, ChatWhole};
pub(super) use completion::{CompletionStream, CompletionWhole, Extras};
pub(super) use frames::Frames;
pub(super) use token::chat_logprobs;

use super::model::Head;

/// Says which version made an answer: with the same seed and version the text is the same.
const SYSTEM_FINGERPRINT: &str = concat!("espalier-", env!("CARGO_PKG_VERSION"));

/// Makes an answer in chunks.
pub(super) trait Chunks {
    /// A chunk.
    type Chunk: Serialize;
    /// What an event of the prompt `index` adds; often one chunk, sometimes none.
    fn tell(&mut self, index: usize, event: GenerateEvent) -> Vec<Self::Chunk>;
    /// What comes after all prompts are finished.
    fn end(&mut self) -> Option<Self::Chunk>;
}

/// Makes an answer as a whole.
pub(super) trait Whole {
    /// The answer.
    type Answer: Serialize;
    /// Takes in an event of the prompt `index`.
    fn hear(&mut self, index: usize, event: GenerateEvent);
    /// The answer, after all prompts are finished.
    fn answer(self) -> Self::Answer;
}

/// What is known of an answer before its first event.
#[derive(Debug, Clone)]
pub(super) struct AnswerHead {
    /// Names the answer; from the request's id.
    pub(super) id: String,
    /// Seconds since 1970.
    pub(super) created: u64,
}

impl AnswerHead {
    fn head(self, object: &'static str) -> Head {
        Head {
            id: self.id,
            object,
            created: self.created,
            // Each prompt's first event has the name.
            model: String::new(),
            system_fingerprint: SYSTEM_FINGERPRINT,
        }
    }
}

const fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
    }
}

#[cfg(test)]
mod tests;
