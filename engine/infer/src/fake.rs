//! A backend for tests: a tiny language model made of a hash, which also checks every rule a plan must keep.
//!
//! Its logits depend on all tokens of the sequence up to the position, so a token that is lost, repeated or read from
//! another sequence's cache changes everything after it.

use std::collections::BTreeMap;

use base::TokenId;

use crate::backend::{Backend, BackendError, Logits, Outputs, Row, SlotId, StepOutput, StepPlan};
use crate::sampler::mix;

/// A deterministic model over a small vocabulary.
#[derive(Debug, Clone)]
pub struct FakeBackend {
    vocabulary: usize,
    /// The hash of every prefix of the sequence in each slot; index n is the hash of n tokens.
    caches: BTreeMap<SlotId, Vec<u64>>,
    steps: u64,
}

impl FakeBackend {
    /// A model over tokens `0..vocabulary`.
    ///
    /// # Panics
    /// If the vocabulary is empty.
    pub fn new(vocabulary: usize) -> Self {
        assert!(vocabulary > 0, "a model has a vocabulary");
        Self {
            vocabulary,
            caches: BTreeMap::new(),
            steps: 0,
        }
    }

    /// The logits that follow `tokens`.
    pub fn logits_after(&self, tokens: &[TokenId]) -> Vec<f32> {
        self.logits(tokens.iter().fold(0, |hash, &token| extend(hash, token)))
    }

    /// Tokens in all caches.
    pub fn cached_tokens(&self) -> usize {
        self.caches.values().map(|cache| cache.len() - 1).sum()
    }

    /// Slots in use.
    pub fn slots(&self) -> usize {
        self.caches.len()
    }

    /// Steps run.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Between -4 and 4: decided enough for greedy, open enough for sampling.
    fn logits(&self, hash: u64) -> Vec<f32> {
        (0..self.vocabulary as u64)
            .map(|token| {
                (mix(extend(hash, token as TokenId)) >> 40) as f32 / (1 << 21) as f32 - 4.0
            })
            .collect()
    }

    fn run(&mut self, row: &Row) -> Result<Option<Logits>, BackendError> {
        let unfit = |what: &str| Err(BackendError::Plan(format!("{what} in {row:?}")));
        if row.tokens.is_empty() {
            return unfit("no tokens");
        }
        if row
            .tokens
            .iter()
            .any(|&token| token as usize >= self.vocabulary)
        {
            return unfit("a token outside the vocabulary");
        }
        let known = self
            .caches
            .get(&row.slot)
            .map_or(0, |cache| cache.len() - 1);
        if known != row.start as usize {
            return unfit(&format!("{known} tokens in the cache"));
        }
        let cache = self.caches.entry(row.slot).or_insert_with(|| vec![0]);
        for &token in &row.tokens {
            let last = cache[cache.len() - 1];
            cache.push(extend(last, token));
        }
        let wanted = match row.outputs {
            Outputs::None => return Ok(None),
            Outputs::Last => cache.len() - 1..cache.len(),
            Outputs::All => row.start as usize + 1..cache.len(),
        };
        let hashes = cache[wanted].to_vec();
        Ok(Some(Logits {
            vocabulary: self.vocabulary,
            values: hashes
                .into_iter()
                .flat_map(|hash| self.logits(hash))
                .collect(),
        }))
    }
}

impl Backend for FakeBackend {
    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError> {
        for slot in &plan.free {
            if self.caches.remove(slot).is_none() {
                return Err(BackendError::Plan(format!("{slot:?} is not in use")));
            }
        }
        let mut slots: Vec<SlotId> = plan.rows.iter().map(|row| row.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        if slots.len() != plan.rows.len() {
            return Err(BackendError::Plan("two rows of one slot".into()));
        }
        self.steps += 1;
        let mut logits = Vec::new();
        for row in &plan.rows {
            logits.extend(self.run(row)?);
        }
        Ok(StepOutput { logits })
    }
}

fn extend(hash: u64, token: TokenId) -> u64 {
    mix(hash ^ mix(u64::from(token) + 1))
}
