//! A whole answer.

use std::time::Duration;

use base::{FinishReason, GenerateEvent, Usage};

use super::collect::Collect;
use super::token::logprobs;
use super::{AnswerHead, Clock, Said, done_reason};
use crate::ollama::model::{AnswerOut, LogprobOut};

/// Makes a whole answer.
pub(in crate::ollama) struct Whole {
    head: AnswerHead,
    clock: Clock,
    collect: Collect,
    said: Said,
    logprobs: Vec<LogprobOut>,
    end: (FinishReason, Usage),
}

impl Whole {
    pub(in crate::ollama) fn new(head: AnswerHead) -> Self {
        Self {
            collect: Collect::new(head.id),
            head,
            clock: Clock::default(),
            said: Said::default(),
            logprobs: Vec::new(),
            end: (FinishReason::Stop, Usage::default()),
        }
    }

    /// Takes in an event, so long after the request came.
    pub(in crate::ollama) fn hear(&mut self, event: GenerateEvent, since: Duration) {
        match event {
            GenerateEvent::Started { .. } => self.clock.loaded = since,
            // Never asked for.
            GenerateEvent::Prompt(_) | GenerateEvent::Queued { .. } => {}
            GenerateEvent::Delta { piece, tokens } => {
                self.clock.first.get_or_insert(since);
                let more = self.collect.tell(piece);
                self.said.words.push_str(&more.words);
                self.said.thoughts.push_str(&more.thoughts);
                self.said.calls.extend(more.calls);
                self.logprobs.extend(logprobs(tokens));
            }
            GenerateEvent::Finished { reason, usage, .. } => {
                self.said.calls.extend(self.collect.end());
                self.end = (reason, usage);
            }
        }
    }

    /// The answer, so long after the request came.
    pub(in crate::ollama) fn answer(self, since: Duration) -> AnswerOut {
        let (reason, usage) = self.end;
        AnswerOut {
            done: true,
            done_reason: Some(done_reason(reason)),
            context: self.head.context(&self.said.words),
            logprobs: self.logprobs,
            metrics: Some(self.clock.metrics(since, usage)),
            ..self.head.piece(self.said, since)
        }
    }
}
