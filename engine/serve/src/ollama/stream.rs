//! From the events of a generation to Ollama's answers, whole and line by line. Pure: the time that has passed is an
//! argument.

mod collect;
mod lines;
mod token;
mod whole;

use std::time::Duration;

use base::{FinishReason, RequestId, Usage};

pub(super) use lines::{Lines, line};
pub(super) use whole::Whole;

use super::convert::{Turn, encode_context};
use super::model::{AnswerOut, MessageOut, MetricsOut, SaidOut, ToolCallOut};
use crate::date::rfc3339_ns;

/// What is known of an answer before its first event.
#[derive(Debug, Clone)]
pub(super) struct AnswerHead {
    /// Names the answer's calls.
    pub(super) id: RequestId,
    /// The model as the client wrote it.
    pub(super) model: String,
    /// When the request came, since 1970.
    pub(super) began: Duration,
    /// Of which endpoint it is.
    pub(super) kind: Kind,
}

/// The endpoints, which shape the same answer in different ways.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// `/api/chat`.
    Chat,
    /// `/api/generate`.
    Generate {
        /// What was said so far, for the next request; `None` if it was raw text.
        turns: Option<Vec<Turn>>,
    },
}

/// What a piece of an answer adds.
#[derive(Debug, Default)]
struct Said {
    words: String,
    thoughts: String,
    calls: Vec<ToolCallOut>,
}

impl AnswerHead {
    /// An answer without words, so long after the request came.
    pub(super) fn empty(&self, since: Duration, done_reason: &'static str) -> AnswerOut {
        AnswerOut {
            done: true,
            done_reason: Some(done_reason),
            ..self.piece(Said::default(), since)
        }
    }

    fn piece(&self, said: Said, since: Duration) -> AnswerOut {
        AnswerOut {
            model: self.model.clone(),
            created_at: rfc3339_ns(self.began + since),
            said: self.said(said),
            done: false,
            done_reason: None,
            context: Vec::new(),
            logprobs: Vec::new(),
            metrics: None,
        }
    }

    fn said(&self, said: Said) -> SaidOut {
        match &self.kind {
            Kind::Chat => SaidOut::Chat {
                message: MessageOut {
                    role: "assistant",
                    content: said.words,
                    thinking: said.thoughts,
                    tool_calls: said.calls,
                },
            },
            // Its requests have no tools.
            Kind::Generate { .. } => SaidOut::Generate {
                response: said.words,
                thinking: said.thoughts,
            },
        }
    }

    /// Lets the next request go on after these words.
    fn context(&self, words: &str) -> Vec<u32> {
        match &self.kind {
            Kind::Generate { turns: Some(turns) } => {
                let mut turns = turns.clone();
                let said = base::Message::new(base::Role::Assistant, words);
                turns.push(Turn::of(&said));
                encode_context(&turns)
            }
            Kind::Chat | Kind::Generate { turns: None } => Vec::new(),
        }
    }
}

/// When what happened, since the request came.
#[derive(Debug, Default)]
struct Clock {
    loaded: Duration,
    first: Option<Duration>,
}

impl Clock {
    fn metrics(&self, end: Duration, usage: Usage) -> MetricsOut {
        // Nothing takes no time at all, and clients take 0 for a number that is not there.
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        let first = self.first.unwrap_or(end);
        MetricsOut {
            total_duration: ns(end),
            load_duration: ns(self.loaded),
            prompt_eval_count: usage.prompt_tokens,
            prompt_eval_duration: ns(first.saturating_sub(self.loaded)),
            eval_count: usage.completion_tokens,
            eval_duration: ns(end.saturating_sub(first)),
        }
    }
}

const fn done_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
    }
}

#[cfg(test)]
mod tests;
