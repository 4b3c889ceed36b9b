//! A draft model: a small one that says what sequences of the large one go on with, greedily. It reads along, some steps of it
//! for one of the large one.

use std::collections::BTreeMap;

use base::TokenId;

use crate::backend::{Backend, BackendError, Logits, Outputs, Recall, Row, SlotId, StepPlan};
use crate::prefix::BLOCK_TOKENS;

/// Most tokens of one draft; so many its backend must take back.
pub const DRAFT_TOKENS_MAX: usize = crate::draft::LENGTH_MAX;

/// Tokens that are read at once of what sequences have had so far, all together. What a draft model reads of a long prompt must
/// not hold up its answer: it reads so much with each token of it.
pub const READ_TOKENS_MAX: usize = 128;

/// A sequence that is to be drafted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DraftAsk<'a> {
    /// Its place in the large model's caches.
    pub slot: SlotId,
    /// All of it so far; at least one.
    pub tokens: &'a [TokenId],
    /// How many tokens to draft; 1 to [`DRAFT_TOKENS_MAX`].
    pub count: usize,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drafts {
    /// For each sequence asked of; nothing where it has not read all of it yet.
    pub tokens: Vec<Vec<TokenId>>,
    /// Steps that the draft model ran.
    pub steps: u32,
    /// Tokens that it read first, beyond those that every draft begins with.
    pub caught_up: usize,
}

/// A draft model with what it holds of sequences.
#[derive(Debug)]
pub struct Drafter<B> {
    backend: B,
    /// Tokens below this are known to it;
    knows: u32,
    /// and to the large model.
    vocabulary: u32,
    /// What is in its caches.
    held: BTreeMap<SlotId, Vec<TokenId>>,
}

impl<B: Backend> Drafter<B> {
    /// Of a model with tokens below `knows`, for one with tokens below `vocabulary`: models with the same tokenizer may differ
    /// in how far they leave room behind its tokens. The backend must let rows begin [`DRAFT_TOKENS_MAX`] tokens before the
    /// end of what it holds.
    ///
    /// # Panics
    /// If one of them knows no token.
    pub fn new(backend: B, knows: u32, vocabulary: u32) -> Self {
        assert!(knows > 0 && vocabulary > 0, "a model knows tokens");
        Self {
            backend,
            knows,
            vocabulary,
            held: BTreeMap::new(),
        }
    }

    /// Drafts on sequences side by side, each in a slot of its own. After an error it is unusable.
    pub fn draft(&mut self, asks: &[DraftAsk<'_>]) -> Result<Drafts, BackendError> {
        let mut drafts = Drafts {
            tokens: vec![Vec::new(); asks.len()],
            ..Drafts::default()
        };
        self.begin(asks)?;
        let mut left = READ_TOKENS_MAX;
        let mut rows = Vec::new();
        for (at, ask) in asks.iter().enumerate() {
            if let Some(row) = self.reading(ask, &mut left) {
                drafts.caught_up += row.tokens.len().saturating_sub(DRAFT_TOKENS_MAX + 1);
                rows.push((at, row));
            }
        }
        while !rows.is_empty() {
            let drafted = self.run(&rows)?;
            drafts.steps += 1;
            rows.clear();
            for (at, token) in drafted {
                let own = &mut drafts.tokens[at];
                own.push(token);
                if own.len() < asks[at].count && token < self.knows {
                    rows.push((at, self.following(asks[at].slot, token)));
                }
            }
        }
        Ok(drafts)
    }

    /// Forgets sequences; those it never had too.
    pub fn free(&mut self, slots: &[SlotId]) -> Result<(), BackendError> {
        let held = slots.iter().copied();
        let free: Vec<SlotId> = held
            .filter(|slot| self.held.remove(slot).is_some())
            .collect();
        if !free.is_empty() {
            let plan = StepPlan {
                free,
                ..StepPlan::default()
            };
            self.backend.step(&plan)?;
        }
        Ok(())
    }

    /// Looks for the beginnings of sequences that it has nothing of.
    fn begin(&mut self, asks: &[DraftAsk<'_>]) -> Result<(), BackendError> {
        let mut recalls = Vec::new();
        for ask in asks.iter().filter(|ask| !self.held.contains_key(&ask.slot)) {
            let tokens = (ask.tokens.len() - 1) / BLOCK_TOKENS * BLOCK_TOKENS;
            let tokens = ask.tokens[..tokens].to_vec();
            if !tokens.is_empty() && self.knows_all(&tokens) {
                recalls.push(Recall {
                    slot: ask.slot,
                    tokens,
                });
            }
        }
        if recalls.is_empty() {
            return Ok(());
        }
        let plan = StepPlan {
            recalls,
            ..StepPlan::default()
        };
        let found = self.backend.step(&plan)?.recalled;
        for (recall, found) in plan.recalls.into_iter().zip(found) {
            // One that is still looking is asked again with the next draft.
            if let Some(found) = found.filter(|found| *found > 0) {
                let mut tokens = recall.tokens;
                tokens.truncate(found as usize);
                self.held.insert(recall.slot, tokens);
            }
        }
        Ok(())
    }

    /// What it has not read of a sequence, as far as there is room for that; what it holds beyond is wrong.
    fn reading(&mut self, ask: &DraftAsk<'_>, left: &mut usize) -> Option<Row> {
        let held = self.held.entry(ask.slot).or_default();
        let common = held.iter().zip(ask.tokens).take_while(|(a, b)| a == b);
        let start = common.count().min(ask.tokens.len() - 1);
        debug_assert!(
            held.len() - start <= DRAFT_TOKENS_MAX,
            "only drafts are wrong"
        );
        let missing = &ask.tokens[start..];
        let count = missing.len().min(*left);
        let read = &missing[..count];
        if count == 0 || read.iter().any(|token| *token >= self.knows) {
            return None;
        }
        *left -= count;
        held.truncate(start);
        held.extend(read);
        Some(Row {
            slot: ask.slot,
            start: start as u32,
            tokens: read.to_vec(),
            layers: None,
            outputs: if count == missing.len() {
                Outputs::Last
            } else {
                Outputs::None
            },
        })
    }

    /// The next token of a draft.
    fn following(&mut self, slot: SlotId, token: TokenId) -> Row {
        let held = self.held.entry(slot).or_default();
        held.push(token);
        Row {
            slot,
            start: held.len() as u32 - 1,
            tokens: vec![token],
            layers: None,
            outputs: Outputs::Last,
        }
    }

    /// The likeliest token after each of the rows that go to the end of their sequences.
    fn run(&mut self, rows: &[(usize, Row)]) -> Result<Vec<(usize, TokenId)>, BackendError> {
        let plan = StepPlan {
            rows: rows.iter().map(|(_, row)| row.clone()).collect(),
            ..StepPlan::default()
        };
        let output = self.backend.step(&plan)?;
        let wanted = rows.iter().filter(|(_, row)| row.outputs == Outputs::Last);
        let likeliest = wanted.zip(&output.logits);
        Ok(likeliest
            .map(|((at, _), logits)| (*at, self.likeliest(logits)))
            .collect())
    }

    fn likeliest(&self, logits: &Logits) -> TokenId {
        let known = logits.vocabulary.min(self.vocabulary as usize);
        let all = (0..).zip(&logits.at(logits.positions() - 1)[..known]);
        let likeliest = all.max_by(|(_, a), (_, b)| a.total_cmp(b));
        likeliest.map_or(0, |(token, _)| token)
    }

    fn knows_all(&self, tokens: &[TokenId]) -> bool {
        tokens.iter().all(|token| *token < self.knows)
    }
}

#[cfg(test)]
mod tests;
