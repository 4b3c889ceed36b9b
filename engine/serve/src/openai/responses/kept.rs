//! Responses that a later request may go on from or ask about: the newest, in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{ErrorCode, Failure, Message};
use serde_json::Value;
use tokio::sync::watch;

use super::record::Record;

/// As many as a day of work with an agent makes.
const RESPONSES_MAX: usize = 1024;
/// Of all of them together: what was said before is in each of a conversation again.
const BYTES_MAX: usize = 128 << 20;
/// In the background at once: each holds a place in the model's queue.
const BACKGROUND_MAX: usize = 32;

/// A response, while it grows and after.
pub(super) struct Kept {
    pub(super) background: bool,
    pub(super) input_items: Vec<Value>,
    /// All that was said before its answer, instructions left out.
    turns: Vec<Message>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    cancelled: watch::Sender<bool>,
}

struct State {
    record: Record,
    /// All so far, of a response in the background.
    events: Vec<Value>,
    over: bool,
}

impl Kept {
    pub(super) fn new(
        record: Record,
        background: bool,
        input_items: Vec<Value>,
        turns: Vec<Message>,
    ) -> Arc<Self> {
        Arc::new(Self {
            background,
            input_items,
            turns,
            state: Mutex::new(State {
                record,
                events: Vec::new(),
                over: false,
            }),
            changed: watch::Sender::new(()),
            cancelled: watch::Sender::new(false),
        })
    }

    /// Changes the response; the events that this made. After its end nothing changes it any more.
    pub(super) fn change(&self, ends: bool, change: impl FnOnce(&mut Record)) -> Vec<Value> {
        let mut state = self.lock();
        if state.over {
            return Vec::new();
        }
        change(&mut state.record);
        state.over = ends;
        let events = state.record.take_events();
        if self.background {
            state.events.extend(events.iter().cloned());
        }
        drop(state);
        self.changed.send_replace(());
        events
    }

    pub(super) fn id(&self) -> String {
        self.lock().record.id().to_owned()
    }

    /// As it is now.
    pub(super) fn response(&self) -> Value {
        self.lock().record.response()
    }

    /// The item of this id, said to it or by it.
    pub(super) fn item(&self, id: &str) -> Option<Value> {
        let input = self.input_items.iter().find(|item| item["id"] == id);
        input.cloned().or_else(|| self.lock().record.item(id))
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// All that was said up to the end of its answer.
    pub(super) fn turns(&self) -> Vec<Message> {
        let answer = self.lock().record.turn().clone();
        self.turns.iter().cloned().chain([answer]).collect()
    }

    /// The events from number `from` on, and whether more will come.
    pub(super) fn events(&self, from: usize) -> (Vec<Value>, bool) {
        let state = self.lock();
        let events = state.events.get(from..).unwrap_or_default().to_vec();
        (events, !state.over)
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Asks whoever drives it to stop.
    pub(super) fn cancel(&self) {
        self.cancelled.send_replace(true);
        self.change(true, Record::cancel);
    }

    /// Resolves once nobody wants it any more.
    pub(super) async fn cancelled(&self) {
        let mut cancelled = self.cancelled.subscribe();
        // Its sender lives as long as this.
        let _ = cancelled.wait_for(|cancelled| *cancelled).await;
    }

    fn bytes(&self) -> usize {
        let called = |turn: &Message| -> usize {
            let calls = turn.tool_calls.iter();
            calls.map(|call| call.arguments.len()).sum()
        };
        let bytes = |turn: &Message| turn.content.len() + turn.reasoning.len() + called(turn);
        let said: usize = self.turns.iter().map(bytes).sum();
        let shown: usize = self
            .input_items
            .iter()
            .map(|item| item.to_string().len())
            .sum();
        said + 2 * shown
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shelf of all of them.
#[derive(Default)]
pub(crate) struct Responses(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    by_id: HashMap<String, Arc<Kept>>,
    /// The oldest first, with their sizes; one that was deleted may still be in it.
    order: VecDeque<(String, usize)>,
    bytes: usize,
}

impl Responses {
    /// Keeps a response, and drops the oldest for it.
    pub(super) fn keep(&self, id: &str, kept: Arc<Kept>) -> Result<(), Failure> {
        let mut all = self.lock();
        let running = |kept: &&Arc<Kept>| kept.background && !kept.is_over();
        if kept.background && all.by_id.values().filter(running).count() >= BACKGROUND_MAX {
            let message = format!("{BACKGROUND_MAX} responses are under way in the background");
            let failure = Failure::new(ErrorCode::Overloaded, message);
            return Err(failure.hint("wait for one of them, or cancel it"));
        }
        let bytes = kept.bytes();
        all.bytes += bytes;
        all.order.push_back((id.to_owned(), bytes));
        all.by_id.insert(id.to_owned(), kept);
        while all.order.len() > RESPONSES_MAX || all.bytes > BYTES_MAX {
            let Some((oldest, bytes)) = all.order.pop_front() else {
                break;
            };
            all.bytes -= bytes;
            if let Some(dropped) = all.by_id.remove(&oldest) {
                dropped.cancel();
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Kept>> {
        self.lock().by_id.get(id).cloned()
    }

    /// The item of this id, of any of them.
    pub(super) fn item(&self, id: &str) -> Option<Value> {
        self.lock().by_id.values().find_map(|kept| kept.item(id))
    }

    /// Forgets one; whether it was there. One that is under way ends.
    pub(super) fn remove(&self, id: &str) -> bool {
        let removed = self.lock().by_id.remove(id);
        removed.map(|kept| kept.cancel()).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
