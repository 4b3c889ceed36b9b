//! A backend for tests: a tiny language model made of a hash, which also checks every rule a plan must keep.
//!
//! Its logits depend on all tokens of the sequence up to the position, so a token that is lost, repeated or read from
//! another sequence's cache changes everything after it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::RangeInclusive;

use base::TokenId;

use crate::backend::{
    Backend, BackendError, Logits, Outputs, Recall, Row, SlotId, StepOutput, StepPlan,
};
use crate::prefix::{BLOCK_TOKENS, BlockKey, PrefixCache};
use crate::sampler::mix;

/// A deterministic model over a small vocabulary.
#[derive(Debug)]
pub struct FakeBackend {
    vocabulary: usize,
    /// It likes to say again what it said so many tokens before.
    habit: Option<usize>,
    caches: BTreeMap<SlotId, Cache>,
    /// The hashes of the prefixes that end in each block.
    kept: PrefixCache<Vec<u64>>,
    /// Recalls that found something and have not said so yet: each is asked for twice.
    looking: BTreeSet<SlotId>,
    /// Tokens on their way through the layers.
    chunks: BTreeMap<SlotId, Row>,
    steps: u64,
    /// Rows may begin so many tokens before the end of what it holds.
    taken_back: usize,
}

/// A sequence.
#[derive(Debug)]
struct Cache {
    tokens: Vec<TokenId>,
    /// The hash of every prefix; index n is the hash of n tokens.
    hashes: Vec<u64>,
    /// So many of the last are guesses.
    guessed: usize,
}

/// Beginnings of some sequences are kept, and not all.
const KEPT_TOKENS_MAX: u64 = 12 * BLOCK_TOKENS as u64;

impl FakeBackend {
    /// A model over tokens `0..vocabulary`.
    ///
    /// # Panics
    /// If the vocabulary is empty.
    pub fn new(vocabulary: usize) -> Self {
        assert!(vocabulary > 0, "a model has a vocabulary");
        Self {
            vocabulary,
            habit: None,
            caches: BTreeMap::new(),
            kept: PrefixCache::default(),
            looking: BTreeSet::new(),
            chunks: BTreeMap::new(),
            steps: 0,
            taken_back: 0,
        }
    }

    /// The same, but it likes to say again what it said `period` tokens before: mostly it does.
    ///
    /// # Panics
    /// If the period is 0.
    #[must_use]
    pub fn with_habit(self, period: usize) -> Self {
        assert!(period > 0, "nothing is said before it is said");
        Self {
            habit: Some(period),
            ..self
        }
    }

    /// The same, but rows may begin so many tokens before the end of what it holds: it drafts.
    #[must_use]
    pub fn taking_back(self, tokens: usize) -> Self {
        Self {
            taken_back: tokens,
            ..self
        }
    }

    /// The logits that follow `tokens`.
    pub fn logits_after(&self, tokens: &[TokenId]) -> Vec<f32> {
        let hash = tokens.iter().fold(0, |hash, &token| extend(hash, token));
        self.logits(hash, tokens)
    }

    /// Tokens in all caches.
    pub fn cached_tokens(&self) -> usize {
        self.caches.values().map(|cache| cache.tokens.len()).sum()
    }

    /// Slots in use.
    pub fn slots(&self) -> usize {
        self.caches.len()
    }

    /// Steps run.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Between -4 and 4: decided enough for greedy, open enough for sampling. More for what is said by habit.
    fn logits(&self, hash: u64, tokens: &[TokenId]) -> Vec<f32> {
        let mut logits: Vec<f32> = (0..self.vocabulary as u64)
            .map(|token| {
                (mix(extend(hash, token as TokenId)) >> 40) as f32 / (1 << 21) as f32 - 4.0
            })
            .collect();
        let again = self
            .habit
            .and_then(|period| tokens.len().checked_sub(period));
        if let Some(again) = again {
            logits[tokens[again] as usize] += 7.0;
        }
        logits
    }

    /// The hidden state after `tokens`.
    pub fn hidden_after(&self, tokens: &[TokenId]) -> Vec<f32> {
        hidden(tokens.iter().fold(0, |hash, &token| extend(hash, token)))
    }

    fn run(&mut self, row: &Row, output: &mut StepOutput) -> Result<(), BackendError> {
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
        let (start, guessed) = (row.start as usize, row.outputs.guessed());
        let known = self.caches.get(&row.slot);
        let known = known.map_or(0..=0, Cache::ends);
        if !known.contains(&start) {
            return unfit(&format!("{known:?} tokens in the cache"));
        }
        if guessed >= row.tokens.len() || (guessed > 0 && row.layers.is_some()) {
            return unfit("guesses alone, or in some layers");
        }
        let before = self.chunks.remove(&row.slot);
        let through = before.as_ref().and_then(|before| before.layers);
        let goes_through = row.layers.map_or(0, |part| part.from);
        let same = |before: Row| {
            (before.start, before.tokens) == (row.start, row.tokens.clone()) && row.layers.is_some()
        };
        if through.map_or(0, |part| part.to) != goes_through || !before.is_none_or(same) {
            return unfit("other layers than those that follow");
        }
        if row.goes_on() {
            if row.outputs != Outputs::None {
                return unfit("outputs before the last layer");
            }
            self.chunks.insert(row.slot, row.clone());
            return Ok(());
        }
        let cache = self.caches.entry(row.slot).or_insert_with(Cache::new);
        cache.cut(start);
        for &token in &row.tokens {
            cache.push(token);
        }
        cache.guessed = guessed.max(self.taken_back).min(cache.tokens.len());
        cache.keep(&mut self.kept);
        let ends = |count: usize| cache.hashes.len() - count..cache.hashes.len();
        let scored = ends(row.outputs.logits(row.tokens.len()));
        let hashes = cache.hashes[ends(row.outputs.hidden(row.tokens.len()))].to_vec();
        if !scored.is_empty() {
            let cache = &self.caches[&row.slot];
            let logits = scored.map(|end| self.logits(cache.hashes[end], &cache.tokens[..end]));
            output.logits.push(Logits {
                vocabulary: self.vocabulary,
                values: logits.flatten().collect(),
            });
        }
        let sum = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(&b).map(|(a, b)| a + b).collect();
        output
            .hidden
            .extend(hashes.into_iter().map(hidden).reduce(sum));
        Ok(())
    }

    fn recall(&mut self, recall: &Recall) -> Result<Option<u32>, BackendError> {
        if self.caches.contains_key(&recall.slot) || recall.tokens.len() < BLOCK_TOKENS {
            return Err(BackendError::Plan(format!("{recall:?}")));
        }
        let blocks = self.kept.recall(&BlockKey::chain(b"", &recall.tokens));
        if blocks.is_empty() {
            return Ok(Some(0));
        }
        if self.looking.insert(recall.slot) {
            return Ok(None);
        }
        self.looking.remove(&recall.slot);
        let mut cache = Cache::new();
        for block in blocks {
            cache.hashes.extend(block);
        }
        let tokens = cache.hashes.len() - 1;
        cache.tokens.extend(&recall.tokens[..tokens]);
        self.caches.insert(recall.slot, cache);
        Ok(Some(tokens as u32))
    }
}

impl Cache {
    fn new() -> Self {
        Self {
            tokens: Vec::new(),
            hashes: vec![0],
            guessed: 0,
        }
    }

    /// Where the next row may start.
    fn ends(&self) -> RangeInclusive<usize> {
        self.tokens.len() - self.guessed..=self.tokens.len()
    }

    /// Takes back what is from there on.
    fn cut(&mut self, start: usize) {
        self.tokens.truncate(start);
        self.hashes.truncate(start + 1);
    }

    fn push(&mut self, token: TokenId) {
        let last = self.hashes[self.hashes.len() - 1];
        self.hashes.push(extend(last, token));
        self.tokens.push(token);
    }

    fn keep(&self, kept: &mut PrefixCache<Vec<u64>>) {
        let block = |depth: usize| {
            let from = depth * BLOCK_TOKENS + 1;
            Ok::<_, Infallible>(self.hashes[from..from + BLOCK_TOKENS].to_vec())
        };
        let sure = &self.tokens[..*self.ends().start()];
        let Ok(()) = kept.keep(&BlockKey::chain(b"", sure), block);
        kept.shrink_to(KEPT_TOKENS_MAX);
    }
}

impl Backend for FakeBackend {
    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError> {
        for slot in &plan.free {
            self.caches.remove(slot);
            self.chunks.remove(slot);
        }
        let rows = plan.rows.iter().map(|row| row.slot);
        let recalls = plan.recalls.iter().map(|recall| recall.slot);
        let mut slots: Vec<SlotId> = rows.chain(recalls).collect();
        slots.sort_unstable();
        slots.dedup();
        if slots.len() != plan.rows.len() + plan.recalls.len() {
            return Err(BackendError::Plan("two rows of one slot".into()));
        }
        self.steps += 1;
        let recalled = plan.recalls.iter().map(|recall| self.recall(recall));
        let recalled = recalled.collect::<Result<_, _>>()?;
        let mut output = StepOutput {
            recalled,
            ..StepOutput::default()
        };
        for row in &plan.rows {
            self.run(row, &mut output)?;
        }
        Ok(output)
    }
}

/// Whole numbers, so that their sums are the same in any order.
fn hidden(hash: u64) -> Vec<f32> {
    hash.to_le_bytes()
        .map(|byte| f32::from(byte) - 128.0)
        .to_vec()
}

fn extend(hash: u64, token: TokenId) -> u64 {
    mix(hash ^ mix(u64::from(token) + 1))
}
