//! From the events of a generation to Anthropic's answers, whole and as server-sent events. Pure.

mod blocks;
mod frames;
mod whole;

use base::{FinishReason, RequestId};

pub(super) use frames::{Frame, Frames};
pub(super) use whole::Whole;

use super::model::{MessageOut, StopOut, UsageOut};

/// Stands where Claude's own API signs what it thought, so that clients keep the block and send it back. Nobody checks
/// it here.
const SIGNATURE: &str = "espalier";

/// What is known of an answer before its first event.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerHead {
    /// Names the answer and its calls.
    pub(super) id: RequestId,
    /// The end of the context comes before the end that was asked for.
    pub(super) to_the_end_of_context: bool,
    /// The client is not shown what the model thinks, but that it did.
    pub(super) omits_thoughts: bool,
}

impl AnswerHead {
    fn message(&self) -> MessageOut {
        MessageOut {
            id: format!("msg_{}", self.id),
            kind: "message",
            role: "assistant",
            // The first event has the name.
            model: String::new(),
            content: Vec::new(),
            stop: StopOut::default(),
            usage: UsageOut::default(),
        }
    }

    fn stop(&self, reason: FinishReason, stop: Option<String>, called: bool) -> StopOut {
        let why = match reason {
            FinishReason::Stop if stop.is_some() => "stop_sequence",
            FinishReason::Stop if called => "tool_use",
            FinishReason::Stop => "end_turn",
            FinishReason::Length if self.to_the_end_of_context => "model_context_window_exceeded",
            FinishReason::Length => "max_tokens",
        };
        StopOut {
            stop_reason: Some(why),
            stop_sequence: stop,
        }
    }
}

#[cfg(test)]
mod tests;
