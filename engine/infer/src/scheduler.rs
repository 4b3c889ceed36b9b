//! Continuous batching: which sequences run in the next step, and what came of it.
//!
//! `next` plans a step, `complete` takes its output. Requests join and leave between steps. Every running answer gets its
//! token in every step; prompts fill what a step has left.
//!
//! A pipeline has as many steps under way as it has stages, so that each stage always has one to compute: a sequence is in
//! one of them at most, and they share the sequences evenly.
//!
//! An answer takes the cache it has grown to, not what it might come to need: few answers use all the tokens they may.
//! When the cache is full, the sequence that came last gives its slot back and waits to be computed again.

mod admission;
mod budget;
mod drafting;
mod flight;
mod load;
mod pace;
mod places;
mod queue;
mod room;
mod running;
mod sequence;
mod speculation;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Failure, RequestId, TokenEvent, TokenRequest};
use text::Tokenizer;

use crate::backend::{Outputs, Recall, SlotId, StepOutput, StepPlan};
use crate::constraint::{MaskDone, MaskJob, Ticket};
use crate::containment::contain;
use crate::draft::{Chances, DRAFTS_FIRST};
use budget::Budget;
use drafting::DRAFT_LEARNING_RATE;
use flight::{Does, Flight, Stay, Step};
pub use load::{Limits, Load, Submitted};
use pace::{Pace, Work};
use places::Places;
use queue::{LineKey, Queue};
use running::Running;
use sequence::{Computed, Outcome, Sequence};

/// The batch scheduler of one model instance.
pub struct Scheduler {
    limits: Limits,
    tokenizer: Arc<Tokenizer>,
    /// At most `queue_max` that never ran, and before them those that were set back.
    waiting: Queue,
    places: Places,
    pace: Pace,
    /// In the order of admission; at most `slots_max`.
    running: Vec<Running>,
    free_slots: BTreeSet<SlotId>,
    /// Slots whose caches the backend still holds; the next plan drops them.
    ended_slots: Vec<SlotId>,
    /// The steps under way, the oldest first; at most as many as there are stages.
    under_way: VecDeque<Step>,
    /// For the next sequence.
    ticket: u64,
    /// For the next stay in a slot.
    stay: u64,
    /// Of who was served last.
    turn: u64,
    /// How often a draft model was right of late, if there is one.
    draft_chances: Option<Chances>,
    /// The sequences that drafts were asked for.
    drafted_on: Vec<Stay>,
    /// What was done so far; what is held now is not in it.
    done: Load,
}

impl Scheduler {
    /// A scheduler without requests.
    ///
    /// # Panics
    /// If a limit other than `queue_max` is 0: nothing would ever run.
    pub fn new(limits: Limits, tokenizer: Arc<Tokenizer>) -> Self {
        assert!(limits.slots_max > 0, "no sequence could run");
        assert!(limits.stages > 0, "no step could run");
        assert!(limits.layers > 0, "no step could compute anything");
        assert!(limits.prefill_chunk_tokens > 0, "no prompt could run");
        assert!(limits.scoring_chunk_tokens > 0, "no prompt could be scored");
        Self {
            limits,
            tokenizer,
            waiting: Queue::default(),
            places: Places::default(),
            pace: Pace::default(),
            running: Vec::new(),
            free_slots: (0..limits.slots_max).map(SlotId).collect(),
            ended_slots: Vec::new(),
            under_way: VecDeque::new(),
            ticket: 0,
            stay: 0,
            turn: 0,
            draft_chances: limits.drafts.then_some(DRAFTS_FIRST),
            drafted_on: Vec::new(),
            done: Load::default(),
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
        let mut sequence = Sequence::new(request, &self.tokenizer, ticket);
        if self.limits.speculates {
            sequence = sequence.with_guesses(self.draft_chances);
        }
        // A request that can run in the next step never waits, so it does not count against the queue.
        let waits = !self.waiting.is_empty() || !self.has_room_for(&sequence);
        let queue_max = self.limits.queue_max as usize;
        if waits && !self.waiting.has_place(LineKey::of(&sequence), queue_max) {
            let pause = self.pace.next_place_in();
            return Err(admission::overloaded(&self.limits, pause));
        }
        let id = sequence.id();
        self.waiting.push(sequence);
        self.admit();
        let position = self.places.first(id, &self.waiting);
        Ok(Submitted::Waiting { position })
    }

    /// Forgets a request; no event follows for it. Its slot is freed by the next plan. Unknown ids are ignored: the
    /// request may just have finished.
    pub fn cancel(&mut self, id: RequestId) {
        self.places.forget(id);
        if let Some(at) = self.position(id) {
            self.end(at);
        } else {
            self.waiting.remove(id);
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
            .chain(self.waiting.iter_mut())
            .filter_map(Sequence::constraint)
            .find(|constraint| constraint.ticket() == done.ticket);
        if let Some(constraint) = constraint {
            constraint.take_back(done);
        }
    }

    /// Whether the oldest step under way cannot be completed before more jobs were taken back.
    pub fn awaits_masks(&self) -> bool {
        let awaits = |flight: &Flight| match (&flight.does, self.staying(flight.stay)) {
            (Does::Row { tokens, .. }, Some(at)) if !flight.does.goes_on() => {
                self.running[at].sequence.awaits_mask(*tokens)
            }
            (Does::Recall | Does::Row { .. }, _) => false,
        };
        let oldest = self.under_way.front();
        oldest.is_some_and(|step| step.flights.iter().any(awaits))
    }

    /// The next step, or `None` if there is nothing to compute or free before a step was completed or a mask job taken
    /// back.
    #[expect(
        clippy::should_implement_trait,
        reason = "between two steps the caller must complete the first, so it is no iterator"
    )]
    pub fn next(&mut self) -> Option<StepPlan> {
        if self.under_way.len() >= self.limits.stages as usize {
            return None;
        }
        self.make_room();
        let free = std::mem::take(&mut self.ended_slots);
        self.free_slots.extend(&free);
        self.admit();
        self.speculate();
        let mut plan = StepPlan {
            free,
            ..StepPlan::default()
        };
        let flights = self.fill(&mut plan);
        if plan.free.is_empty() && flights.is_empty() {
            return None;
        }
        let work = self.work_of(&flights);
        self.under_way.push_back(Step { flights, work });
        Some(plan)
    }

    /// Puts this step's share of the sequences that are in no other one into a plan.
    fn fill(&self, plan: &mut StepPlan) -> Vec<Flight> {
        let share = self.running.len().div_ceil(self.limits.stages as usize);
        let idle = self.idle();
        let reads = |at: &&usize| self.running[**at].sequence.is_reading();
        let readers = idle.iter().filter(reads).count();
        let mut budget = Budget::new(&self.limits, readers, self.prefill_tokens(share));
        let mut flights = Vec::with_capacity(share);
        for at in idle {
            if flights.len() == share {
                break;
            }
            let Running { slot, sequence, .. } = &self.running[at];
            let does = if let Some(tokens) = sequence.recall() {
                plan.recalls.push(Recall {
                    slot: *slot,
                    tokens,
                });
                Does::Recall
            } else if let Some(row) = sequence.row(*slot, &mut budget) {
                let does = Does::Row {
                    tokens: row.tokens.len(),
                    layers: row.layers,
                    outputs: row.outputs,
                };
                plan.rows.push(row);
                does
            } else {
                continue;
            };
            let stay = self.running[at].stay;
            flights.push(Flight { stay, does });
        }
        flights
    }

    /// Where the sequences are that are in no step, in the order in which they are served.
    fn idle(&self) -> Vec<usize> {
        let mut idle: Vec<usize> = (0..self.running.len())
            .filter(|&at| !self.is_under_way(self.running[at].stay))
            .collect();
        idle.sort_by_key(|&at| self.running[at].rank());
        idle
    }

    /// A turn after all others.
    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    /// How many prompt tokens the next step may read, of which at most `share` sequences are part.
    fn prefill_tokens(&self, share: usize) -> f64 {
        let most = self.limits.prefill_chunk_tokens;
        let answers = || {
            self.running
                .iter()
                .filter(|running| !running.sequence.is_reading())
        };
        if answers().next().is_none() {
            return f64::from(most);
        }
        let with = answers()
            .filter(|running| !self.is_under_way(running.stay))
            .count();
        // Where all of them are in other steps, they wait for this one to make way.
        self.pace.prompt_tokens(with.clamp(1, share) as u32, most)
    }

    fn work_of(&self, flights: &[Flight]) -> Work {
        let mut work = Work::default();
        for Flight { stay, does } in flights {
            let reads = self
                .staying(*stay)
                .is_some_and(|at| self.running[at].sequence.is_reading());
            match does {
                Does::Recall => work.recalls = true,
                Does::Row { .. } if reads => work.prompt_tokens += does.tokens(),
                Does::Row { outputs, .. } => {
                    work.answers += 1;
                    work.guesses += outputs.guessed() as u32;
                }
            }
        }
        work
    }

    /// Takes the output of the oldest step under way, which `took` so long, and says what it means for each request.
    ///
    /// # Panics
    /// If no step is under way, the output is not one of that step, or it `awaits_masks`.
    pub fn complete(
        &mut self,
        mut output: StepOutput,
        took: Duration,
    ) -> Vec<(RequestId, TokenEvent)> {
        let step = self.under_way.pop_front();
        let Step { flights, work } = step.expect("complete follows next");
        let mut logits = output.logits.iter_mut();
        let mut hidden = output.hidden.into_iter();
        let mut recalled = output.recalled.iter();
        let mut events = self.places.changes(&self.waiting);
        for Flight { stay, does } in flights {
            match does {
                Does::Recall => {
                    let found = recalled.next().expect("a number for every recall");
                    if let Some(found) = *found {
                        events.extend(self.recalled(stay, found));
                    }
                }
                Does::Row { tokens, layers, .. } if does.goes_on() => {
                    let through = layers.map_or(0, |part| part.to);
                    if let Some(at) = self.staying(stay) {
                        self.running[at].sequence.goes_through(tokens, through);
                    }
                }
                Does::Row {
                    tokens, outputs, ..
                } => {
                    let computed = match outputs {
                        Outputs::None => Computed::Nothing,
                        Outputs::Last | Outputs::All | Outputs::Guessed(_) => {
                            let logits = logits.next();
                            Computed::Logits(logits.expect("logits for every row that wants them"))
                        }
                        Outputs::HiddenLast | Outputs::HiddenSum => {
                            let hidden = hidden.next();
                            Computed::Hidden(hidden.expect("a hidden state for every such row"))
                        }
                    };
                    self.computed(stay, tokens, computed, &mut events);
                }
            }
        }
        assert!(logits.next().is_none(), "logits for rows that want none");
        assert!(hidden.next().is_none(), "hidden states for such rows");
        assert!(recalled.next().is_none(), "a number without a recall");
        let is_last = |(_, event): &&(_, TokenEvent)| event.is_last();
        let ended = events.iter().filter(is_last).count() as u32;
        self.pace.step(work, took, ended);
        events
    }

    /// A request cancelled meanwhile has no sequence any more.
    fn recalled(&mut self, stay: Stay, found: u32) -> Option<(RequestId, TokenEvent)> {
        let at = self.staying(stay)?;
        let sequence = &mut self.running[at].sequence;
        let event = sequence.recalled(found);
        self.done.recalled_tokens += u64::from(found);
        event.map(|event| (sequence.id(), event))
    }

    fn computed(
        &mut self,
        stay: Stay,
        tokens: usize,
        computed: Computed<'_>,
        events: &mut Vec<(RequestId, TokenEvent)>,
    ) {
        let Some(at) = self.staying(stay) else {
            return;
        };
        let turn = self.next_turn();
        let running = &mut self.running[at];
        running.turn = turn;
        let sequence = &mut running.sequence;
        let id = sequence.id();
        let outcome =
            contain(|| sequence.advance(tokens, computed)).unwrap_or_else(Outcome::failed);
        self.done.prompt_tokens += outcome.prompt_tokens;
        self.done.generated_tokens += outcome.generated_tokens;
        self.done.guessed_tokens += outcome.guessed_tokens;
        self.done.accepted_tokens += outcome.accepted_tokens;
        self.waiting
            .served(LineKey::of(sequence), outcome.generated_tokens);
        let ended = outcome.ended;
        events.extend(outcome.events.into_iter().map(|event| (id, event)));
        if ended {
            self.end(at);
        }
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
            ..self.done
        }
    }

    /// Whether `next` has nothing to say and no step is under way.
    pub fn is_idle(&self) -> bool {
        let no_requests = self.running.is_empty() && self.waiting.is_empty();
        no_requests && self.ended_slots.is_empty() && self.under_way.is_empty()
    }

    /// Moves sequences from the queue to slots while both memory and slots last. The first one that does not fit holds back
    /// the others: otherwise small requests could keep a large one waiting for ever.
    fn admit(&mut self) {
        while let Some(sequence) = self.waiting.first() {
            if !self.has_room_for(sequence) {
                return;
            }
            let (Some(slot), Some(sequence)) =
                (self.free_slots.pop_first(), self.waiting.take_first())
            else {
                return;
            };
            let stay = Stay(self.stay);
            self.stay += 1;
            let turn = self.next_turn();
            self.running.push(Running {
                slot,
                stay,
                turn,
                sequence,
            });
        }
    }

    /// Forgets the sequence at `at` of the running ones.
    fn end(&mut self, at: usize) {
        let sequence = self.release(at);
        if let (Some(known), Some(new)) = (&mut self.draft_chances, sequence.draft_chances()) {
            known.rest(&new, DRAFT_LEARNING_RATE);
        }
        self.waiting.ended(LineKey::of(&sequence));
    }

    /// Takes the sequence at `at` of the running ones out of its slot.
    fn release(&mut self, at: usize) -> Sequence {
        let Running {
            slot,
            stay,
            sequence,
            ..
        } = self.running.remove(at);
        if sequence.has_cache() || self.is_under_way(stay) {
            self.ended_slots.push(slot);
        } else {
            self.free_slots.insert(slot);
        }
        sequence
    }

    fn is_under_way(&self, stay: Stay) -> bool {
        let mut flights = self.under_way.iter().flat_map(|step| &step.flights);
        flights.any(|flight| flight.stay == stay)
    }

    fn staying(&self, stay: Stay) -> Option<usize> {
        let staying = |running: &Running| running.stay == stay;
        self.running.iter().position(staying)
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
