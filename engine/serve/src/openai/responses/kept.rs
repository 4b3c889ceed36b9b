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
    /// Of both.
    given_bytes: usize,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    cancelled: watch::Sender<bool>,
}

struct State {
    record: Record,
    /// All so far, of a response in the background: as text, which takes a fraction of what a tree does.
    events: Vec<Box<str>>,
    /// Of these.
    told_bytes: usize,
    over: bool,
}

impl Kept {
    pub(super) fn new(
        record: Record,
        background: bool,
        input_items: Vec<Value>,
        turns: Vec<Message>,
    ) -> Arc<Self> {
        let said: usize = turns.iter().map(bytes_of).sum();
        let shown = input_items.iter().map(|item| item.to_string().len());
        Arc::new(Self {
            background,
            given_bytes: said + 2 * shown.sum::<usize>(),
            input_items,
            turns,
            state: Mutex::new(State {
                record,
                events: Vec::new(),
                told_bytes: 0,
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
            for event in &events {
                let text: Box<str> = event.to_string().into();
                state.told_bytes += text.len();
                state.events.push(text);
            }
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
        let texts = state.events.get(from..).unwrap_or_default().iter();
        let events = texts.filter_map(|text| serde_json::from_str(text).ok());
        (events.collect(), !state.over)
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

    /// About what it takes, its answer and its events so far included.
    fn bytes(&self) -> usize {
        let state = self.lock();
        self.given_bytes + bytes_of(state.record.turn()) + state.told_bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(turn: &Message) -> usize {
    let calls = turn.tool_calls.iter();
    let called: usize = calls.map(|call| call.arguments.len()).sum();
    turn.content.len() + turn.reasoning.len() + called
}

/// The shelf of all of them.
#[derive(Default)]
pub(crate) struct Responses(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    by_id: HashMap<String, Arc<Kept>>,
    /// The oldest first; one that was deleted may still be in it.
    order: VecDeque<String>,
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
        all.order.push_back(id.to_owned());
        all.by_id.insert(id.to_owned(), kept);
        let mut bytes: usize = all.by_id.values().map(|kept| kept.bytes()).sum();
        while all.order.len() > RESPONSES_MAX || bytes > BYTES_MAX {
            let Some(oldest) = all.order.pop_front() else {
                break;
            };
            if let Some(dropped) = all.by_id.remove(&oldest) {
                bytes = bytes.saturating_sub(dropped.bytes());
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
