//! What those who wait for their first turn were told of their place in the queue.

use std::collections::BTreeMap;

use base::{RequestId, TokenEvent};

use super::queue::Queue;

/// The places that were told, from 1.
#[derive(Default)]
pub struct Places(BTreeMap<RequestId, u32>);

impl Places {
    /// A request's place now, which its client is told; 0 if it runs.
    pub fn first(&mut self, id: RequestId, queue: &Queue) -> u32 {
        let position = place(id, queue);
        if position > 0 {
            self.0.insert(id, position);
        }
        position
    }

    /// Nobody is to hear of a request any more.
    pub fn forget(&mut self, id: RequestId) {
        self.0.remove(&id);
    }

    /// Tells those whose place has changed.
    pub fn changes(&mut self, queue: &Queue) -> Vec<(RequestId, TokenEvent)> {
        let mut events = Vec::new();
        self.0.retain(|&id, told| {
            let position = place(id, queue);
            if position != *told {
                events.push((id, TokenEvent::Accepted { position }));
                *told = position;
            }
            position > 0
        });
        events
    }
}

fn place(id: RequestId, queue: &Queue) -> u32 {
    queue.position(id).unwrap_or(0) as u32
}
