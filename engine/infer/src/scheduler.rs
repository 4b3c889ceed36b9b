//! Continuous batching: which sequences run in the next step, and what came of it.
//!
//! `next` plans a step, `complete` takes its output; between them nothing else is planned. Requests join and leave
//! between steps. Every running answer gets its token in every step; prompts fill what a step has left.
//!
//! An answer takes the cache it has grown to, not what it might come to need: few answers use all the tokens they may.
//! When the cache is full, the sequence that came last gives its slot back and waits to be computed again.

mod admission;
mod sequence;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use base::{Failure, FinishReason, RequestId, TokenEvent, TokenRequest};
use text::Tokenizer;

use crate::backend::{Outputs, SlotId, StepOutput, StepPlan};
use crate::constraint::{MaskDone, MaskJob, Ticket};
use sequence::{Budget, Sequence};

/// A sequence begins when there is room for it to grow by so many tokens, so that it is not soon set back.
const GROWTH_TOKENS: u64 = 64;

/// How much a scheduler takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sequences computed at once.
    pub slots_max: u32,
    /// Requests that wait for a slot; more are refused as `Overloaded`.
    pub queue_max: u32,
    /// Tokens in all KV caches together.
    pub cache_tokens_max: u64,
    /// Longest sequence the model knows, in tokens.
    pub context_tokens_max: u32,
    /// Entries of the model's vocabulary.
    pub vocabulary_size: u32,
    /// Prompt tokens computed in one step, over all sequences.
    pub prefill_chunk_tokens: u32,
    /// Prompt tokens whose log-probabilities are computed in one step: their logits are all copied to the host.
    pub scoring_chunk_tokens: u32,
}

/// What became of a submitted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// It runs as soon as there is room.
    Waiting,
    /// There is nothing to compute: its answer was complete already.
    Finished(FinishReason),
}

/// What a scheduler holds now and has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Sequences being computed.
    pub running: u32,
    /// Those of them whose prompt is not read to its end.
    pub reading: u32,
    /// Requests waiting.
    pub waiting: u32,
    /// Tokens of cache that the sequences being computed take.
    pub cache_tokens_reserved: u64,
    /// Prompt tokens computed so far, those of resumed answers included.
    pub prompt_tokens: u64,
    /// Tokens generated so far.
    pub generated_tokens: u64,
}

/// The batch scheduler of one model instance.
pub struct Scheduler {
    limits: Limits,
    tokenizer: Arc<Tokenizer>,
    /// First come, first served; at most `queue_max` that never ran, and before them those that were set back.
    waiting: VecDeque<Sequence>,
    /// In the order of admission; at most `slots_max`.
    running: Vec<Running>,
    free_slots: BTreeSet<SlotId>,
    /// Slots whose caches the backend still holds; the next plan drops them.
    ended_slots: Vec<SlotId>,
    /// The rows of the step that runs now.
    in_flight: Option<Vec<Flight>>,
    /// For the next sequence.
    ticket: u64,
    prompt_tokens: u64,
    generated_tokens: u64,
}

/// A sequence in a slot.
struct Running {
    slot: SlotId,
    sequence: Sequence,
}

/// A row that was sent to the backend.
struct Flight {
    /// Names the sequence: a slot is not given to another before the next plan, an id may be.
    slot: SlotId,
    tokens: usize,
    outputs: Outputs,
}

impl Scheduler {
    /// A scheduler without requests.
    ///
    /// # Panics
    /// If a limit other than `queue_max` is 0: nothing would ever run.
    pub fn new(limits: Limits, tokenizer: Arc<Tokenizer>) -> Self {
        assert!(limits.slots_max > 0, "no sequence could run");
        assert!(limits.prefill_chunk_tokens > 0, "no prompt could run");
        assert!(limits.scoring_chunk_tokens > 0, "no prompt could be scored");
        Self {
            limits,
            tokenizer,
            waiting: VecDeque::new(),
            running: Vec::new(),
            free_slots: (0..limits.slots_max).map(SlotId).collect(),
            ended_slots: Vec::new(),
            in_flight: None,
            ticket: 0,
            prompt_tokens: 0,
            generated_tokens: 0,
        }
    }

    /// Queues a request, or says why it can never run or not now.
    pub fn submit(&mut self, request: TokenRequest) -> Result<Submitted, Failure> {
        admission::check(&request, &self.limits)?;
        if self.knows(request.id) {
            return Err(admission::known_id(request.id));
        }
        if let Some(reason) = sequence::finished_already(&request, &self.tokenizer) {
            return Ok(Submitted::Finished(reason));
        }
        let ticket = Ticket(self.ticket);
        self.ticket += 1;
        let sequence = Sequence::new(request, &self.tokenizer, ticket);
        // A request that can run in the next step never waits, so it does not count against the queue.
        let waits = !self.waiting.is_empty() || !self.has_room_for(&sequence);
        if waits && self.waiting.len() >= self.limits.queue_max as usize {
            return Err(admission::overloaded(&self.limits));
        }
        self.waiting.push_back(sequence);
        self.admit();
        Ok(Submitted::Waiting)
    }

    /// Forgets a request; no event follows for it. Its slot is freed by the next plan. Unknown ids are ignored: the
    /// request may just have finished.
    pub fn cancel(&mut self, id: RequestId) {
        self.waiting.retain(|sequence| sequence.id() != id);
        if let Some(at) = self.position(id) {
            self.release(at);
        }
    }

    /// What is to be worked out before answers that have a grammar can go on. To be asked for before `next` and after it,
    /// and run anywhere, best while a step runs; a job that is not taken back holds up its own sequence alone until it
    /// `awaits_masks`.
    pub fn mask_jobs(&mut self) -> Vec<MaskJob> {
        let running = self.running.iter_mut();
        running
            .filter_map(|running| running.sequence.mask_job())
            .collect()
    }

    /// Takes a job back, in any order. One of a request that was cancelled is ignored.
    pub fn take_back(&mut self, done: MaskDone) {
        let running = self.running.iter_mut().map(|running| &mut running.sequence);
        let constraint = running
            .chain(&mut self.waiting)
            .filter_map(Sequence::constraint)
            .find(|constraint| constraint.ticket() == done.ticket);
        if let Some(constraint) = constraint {
            constraint.take_back(done);
        }
    }

    /// Whether the step that runs now cannot be completed before more jobs were taken back.
    pub fn awaits_masks(&self) -> bool {
        let awaits = |flight: &Flight| {
            let mut running = self.running.iter();
            let running = running.find(|running| running.slot == flight.slot);
            running.is_some_and(|running| running.sequence.awaits_mask(flight.tokens))
        };
        self.in_flight.iter().flatten().any(awaits)
    }

    /// The next step, or `None` if there is nothing to compute or free before a mask job was taken back.
    ///
    /// # Panics
    /// If the step before was not completed.
    #[expect(
        clippy::should_implement_trait,
        reason = "between two steps the caller must complete the first, so it is no iterator"
    )]
    pub fn next(&mut self) -> Option<StepPlan> {
        assert!(self.in_flight.is_none(), "a step is still running");
        self.make_room();
        let free = std::mem::take(&mut self.ended_slots);
        self.free_slots.extend(&free);
        self.admit();
        let mut budget = Budget {
            prefill_tokens: self.limits.prefill_chunk_tokens as usize,
            scoring_tokens: self.limits.scoring_chunk_tokens as usize,
        };
        let mut rows = Vec::with_capacity(self.running.len());
        let mut flights = Vec::with_capacity(self.running.len());
        for Running { slot, sequence } in &self.running {
            let Some(row) = sequence.row(*slot, &mut budget) else {
                continue;
            };
            flights.push(Flight {
                slot: *slot,
                tokens: row.tokens.len(),
                outputs: row.outputs,
            });
            rows.push(row);
        }
        if free.is_empty() && rows.is_empty() {
            return None;
        }
        self.in_flight = Some(flights);
        Some(StepPlan { free, rows })
    }

    /// Takes the output of the last planned step and says what it means for each request.
    ///
    /// # Panics
    /// If no step runs, the output is not one of that step, or it `awaits_masks`.
    pub fn complete(&mut self, mut output: StepOutput) -> Vec<(RequestId, TokenEvent)> {
        let flights = self.in_flight.take().expect("complete follows next");
        let mut logits = output.logits.iter_mut();
        let mut events = Vec::new();
        for flight in flights {
            let logits = match flight.outputs {
                Outputs::None => None,
                Outputs::Last | Outputs::All => {
                    Some(logits.next().expect("logits for every row that wants them"))
                }
            };
            // A request cancelled while its row ran has no sequence any more.
            let in_slot = |running: &Running| running.slot == flight.slot;
            let Some(at) = self.running.iter().position(in_slot) else {
                continue;
            };
            let sequence = &mut self.running[at].sequence;
            let id = sequence.id();
            let outcome = sequence.advance(flight.tokens, logits);
            self.prompt_tokens += outcome.prompt_tokens;
            self.generated_tokens += outcome.generated_tokens;
            let ended = outcome.ended;
            events.extend(outcome.events.into_iter().map(|event| (id, event)));
            if ended {
                self.release(at);
            }
        }
        assert!(logits.next().is_none(), "logits for rows that want none");
        events
    }

    /// What it holds and has done.
    pub fn load(&self) -> Load {
        Load {
            running: self.running.len() as u32,
            reading: self
                .running
                .iter()
                .filter(|running| running.sequence.is_reading())
                .count() as u32,
            waiting: self.waiting.len() as u32,
            cache_tokens_reserved: self.cache_tokens(),
            prompt_tokens: self.prompt_tokens,
            generated_tokens: self.generated_tokens,
        }
    }

    /// Whether `next` has nothing to say.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty() && self.ended_slots.is_empty()
    }

    /// Moves sequences from the queue to slots while both memory and slots last. The first one that does not fit holds back
    /// the others: otherwise small requests could keep a large one waiting for ever.
    fn admit(&mut self) {
        while let Some(sequence) = self.waiting.front() {
            if !self.has_room_for(sequence) {
                return;
            }
            let (Some(slot), Some(sequence)) =
                (self.free_slots.pop_first(), self.waiting.pop_front())
            else {
                return;
            };
            self.running.push(Running { slot, sequence });
        }
    }

    fn has_room_for(&self, sequence: &Sequence) -> bool {
        let running = self.running.iter().map(|running| &running.sequence);
        let needed: u64 = running
            .chain([sequence])
            .map(|sequence| sequence.cache_tokens_after(GROWTH_TOKENS))
            .sum();
        !self.free_slots.is_empty() && needed <= self.limits.cache_tokens_max
    }

    /// Sets sequences back until the others have room for their next tokens, the last that came first. One alone
    /// always has room, or it would have been refused; so the first goes on, and in its turn each.
    fn make_room(&mut self) {
        while self.cache_tokens() > self.limits.cache_tokens_max && self.running.len() > 1 {
            let mut sequence = self.release(self.running.len() - 1);
            sequence.lose_cache();
            self.waiting.push_front(sequence);
        }
    }

    /// Tokens of cache that the next step needs.
    fn cache_tokens(&self) -> u64 {
        let running = self.running.iter();
        running.map(|running| running.sequence.cache_tokens()).sum()
    }

    /// Takes the sequence at `at` of the running ones out of its slot.
    fn release(&mut self, at: usize) -> Sequence {
        let Running { slot, sequence } = self.running.remove(at);
        if sequence.has_cache() || self.is_in_flight(slot) {
            self.ended_slots.push(slot);
        } else {
            self.free_slots.insert(slot);
        }
        sequence
    }

    fn is_in_flight(&self, slot: SlotId) -> bool {
        let mut flights = self.in_flight.iter().flatten();
        flights.any(|flight| flight.slot == slot)
    }

    fn position(&self, id: RequestId) -> Option<usize> {
        let named = |running: &Running| running.sequence.id() == id;
        self.running.iter().position(named)
    }

    fn knows(&self, id: RequestId) -> bool {
        self.position(id).is_some() || self.waiting.iter().any(|sequence| sequence.id() == id)
    }
}

#[cfg(test)]
mod tests;
