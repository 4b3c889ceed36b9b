//! The events of a response, numbered from 0, so that a client whose line broke can ask for those that it missed.

use serde_json::{Value, json};

/// Numbers events as they are told.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    next: u64,
    waiting: Vec<Value>,
}

impl Numbered {
    /// `event` is an object with the fields of this kind of event.
    pub(super) fn tell(&mut self, kind: &str, mut event: Value) {
        event["type"] = json!(kind);
        event["sequence_number"] = json!(self.next);
        self.next += 1;
        self.waiting.push(event);
    }

    /// Those that were not taken yet.
    pub(super) fn take(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.waiting)
    }
}
