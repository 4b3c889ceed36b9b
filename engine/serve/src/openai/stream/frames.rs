//! The data of a stream's server-sent events: chunks, then `[DONE]`; or chunks, then an error.

use base::{ErrorCode, Failure, GenerateEvent};
use serde::Serialize;

use super::Chunks;
use crate::openai::error::Envelope;

/// Makes the data of each server-sent event.
pub(in crate::openai) struct Frames<C> {
    chunks: C,
    failed: bool,
}

impl<C: Chunks> Frames<C> {
    pub(in crate::openai) fn new(chunks: C) -> Self {
        Self {
            chunks,
            failed: false,
        }
    }

    /// What an event adds to the stream; `None` as the event is the end of the generation. Nothing follows an error:
    /// from the missing `[DONE]` and the envelope clients know that the answer is not whole.
    pub(in crate::openai) fn next(
        &mut self,
        event: Option<Result<(usize, GenerateEvent), Failure>>,
    ) -> Option<Vec<String>> {
        if self.failed {
            return None;
        }
        match event {
            Some(Ok((index, event))) => {
                let chunks = self.chunks.tell(index, event);
                Some(chunks.iter().map(|chunk| self.json(chunk)).collect())
            }
            Some(Err(failure)) => Some(vec![self.error(failure)]),
            None => {
                let usage = self.chunks.end().map(|chunk| self.json(&chunk));
                Some(usage.into_iter().chain(["[DONE]".to_string()]).collect())
            }
        }
    }

    fn json(&mut self, chunk: &impl Serialize) -> String {
        serde_json::to_string(chunk).unwrap_or_else(|error| {
            let message = format!("a chunk cannot be written: {error}");
            self.error(Failure::new(ErrorCode::Internal, message))
        })
    }

    fn error(&mut self, failure: Failure) -> String {
        self.failed = true;
        // An envelope is strings alone, which are always JSON.
        serde_json::to_string(&Envelope::new(failure)).unwrap_or_default()
    }
}
