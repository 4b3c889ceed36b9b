//! What a draft model is to draft before the next step, and what it drafted.

use std::time::Duration;

use super::Scheduler;
use super::pace::{Draftable, GUESSES_MAX};
use super::sequence::Sequence;
use crate::drafter::{DraftAsk, Drafts};

/// How much a sequence that ended counts in what the next ones hold of the draft model, against all before it.
pub(super) const DRAFT_LEARNING_RATE: f64 = 0.5;

impl Scheduler {
    /// What is to be drafted before the next step; empty if nothing, or if there is no draft model. To be asked for before
    /// `next` and before `mask_jobs`, since these look ahead along the drafts, and answered by `drafted`.
    pub fn drafts(&mut self) -> Vec<DraftAsk<'_>> {
        self.drafted_on.clear();
        let may = self.limits.drafts && self.under_way.len() < self.limits.stages as usize;
        if !may {
            return Vec::new();
        }
        let next = self.answers_next();
        let of = |&at: &usize| {
            let sequence = &self.running[at].sequence;
            Draftable {
                known: sequence.chances(),
                drafted: sequence.worth_drafting(),
            }
        };
        let draftable: Vec<Draftable> = next.iter().map(of).collect();
        let depth = self.pace.draft_depth(&draftable);
        let left_over = self.cache_tokens_left().unwrap_or(0) as usize;
        let mut left = left_over.min(GUESSES_MAX);
        let mut asks = Vec::new();
        for (at, draftable) in next.into_iter().zip(draftable) {
            let count = depth.min(draftable.drafted.len()).min(left);
            if count > 0 {
                left -= count;
                let running = &self.running[at];
                self.drafted_on.push(running.stay);
                asks.push(DraftAsk {
                    slot: running.slot,
                    tokens: running.sequence.tokens(),
                    count,
                });
            }
        }
        asks
    }

    /// Takes in what was drafted of what was asked for, and how long that took.
    pub fn drafted(&mut self, drafts: Drafts, took: Duration) {
        let sequences = self.drafted_on.len() as u32;
        // What it took to catch up says nothing of the drafts after this.
        let steps = if drafts.caught_up > 0 {
            0
        } else {
            drafts.steps
        };
        self.pace.drafted(sequences, steps, took);
        for (stay, tokens) in std::mem::take(&mut self.drafted_on)
            .into_iter()
            .zip(drafts.tokens)
        {
            if let Some(at) = self.staying(stay) {
                let sequence: &mut Sequence = &mut self.running[at].sequence;
                sequence.put_draft(tokens);
            }
        }
    }
}
