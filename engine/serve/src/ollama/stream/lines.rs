//! A stream's lines: those of the answer, then its end; or those so far, then an error.

use std::time::Duration;

use base::{Failure, GenerateEvent, ScoredToken};
use serde::Serialize;

use super::collect::Collect;
use super::token::logprobs;
use super::{AnswerHead, Clock, Said, done_reason};
use crate::ollama::error::Envelope;
use crate::ollama::model::AnswerOut;

/// Makes lines.
pub(in crate::ollama) struct Lines {
    head: AnswerHead,
    clock: Clock,
    collect: Collect,
    /// All that was said, for the next request.
    words: String,
    failed: bool,
}

/// A value as a line of JSON.
pub(in crate::ollama) fn line(value: &impl Serialize) -> String {
    let mut line = serde_json::to_string(value).unwrap_or_else(|error| {
        let failure = Failure::new(
            base::ErrorCode::Internal,
            format!("a line cannot be written: {error}"),
        );
        // An envelope is a string alone, which is always JSON.
        serde_json::to_string(&Envelope::new(&failure)).unwrap_or_default()
    });
    line.push('\n');
    line
}

impl Lines {
    pub(in crate::ollama) fn new(head: AnswerHead) -> Self {
        Self {
            collect: Collect::new(head.id),
            head,
            clock: Clock::default(),
            words: String::new(),
            failed: false,
        }
    }

    /// What an event adds, so long after the request came; nothing follows an error.
    pub(in crate::ollama) fn next(
        &mut self,
        event: Result<GenerateEvent, Failure>,
        since: Duration,
    ) -> Option<String> {
        if self.failed {
            return None;
        }
        match event {
            Ok(event) => Some(self.tell(event, since).iter().map(line).collect()),
            Err(failure) => {
                self.failed = true;
                Some(line(&Envelope::new(&failure)))
            }
        }
    }

    fn tell(&mut self, event: GenerateEvent, since: Duration) -> Vec<AnswerOut> {
        match event {
            GenerateEvent::Started { .. } => {
                self.clock.loaded = since;
                Vec::new()
            }
            // Never asked for.
            GenerateEvent::Prompt(_) | GenerateEvent::Queued { .. } => Vec::new(),
            GenerateEvent::Delta { piece, tokens } => {
                self.clock.first.get_or_insert(since);
                let said = self.collect.tell(piece);
                self.words.push_str(&said.words);
                self.piece(said, tokens, since).into_iter().collect()
            }
            GenerateEvent::Finished { reason, usage, .. } => {
                let mut said = Said::default();
                said.calls.extend(self.collect.end());
                let last_call = self.piece(said, Vec::new(), since);
                let end = AnswerOut {
                    context: self.head.context(&self.words),
                    metrics: Some(self.clock.metrics(since, usage)),
                    ..self.head.empty(since, done_reason(reason))
                };
                last_call.into_iter().chain([end]).collect()
            }
        }
    }

    fn piece(&self, said: Said, tokens: Vec<ScoredToken>, since: Duration) -> Option<AnswerOut> {
        (!said.is_empty() || !tokens.is_empty()).then(|| AnswerOut {
            logprobs: logprobs(tokens),
            ..self.head.piece(said, since)
        })
    }
}
