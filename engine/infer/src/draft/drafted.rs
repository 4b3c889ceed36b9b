//! What a draft model says that a sequence goes on with.

use std::collections::VecDeque;

use base::TokenId;

use super::chances::Chances;

/// How much a token that nobody drafted brings trust back to what it was at first: whoever was wrong is tried again, now and
/// then in some hundred tokens.
const REST_RATE: f64 = 1.0 / 512.0;

/// How likely a draft is held to be right before any was seen.
pub(crate) const DRAFTS_FIRST: Chances = Chances::new([0.7, 0.75, 0.8]);

/// The draft of one sequence.
#[derive(Debug, Clone)]
pub(super) struct Drafted {
    /// What comes after all that has come, if it was right so far.
    tokens: VecDeque<TokenId>,
    /// So many of it were.
    pub(super) right: usize,
    pub(super) chances: Chances,
}

impl Drafted {
    pub(super) const fn new(chances: Chances) -> Self {
        Self {
            tokens: VecDeque::new(),
            right: 0,
            chances,
        }
    }

    pub(super) fn put(&mut self, tokens: Vec<TokenId>) {
        self.tokens = tokens.into();
        self.right = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The next so many.
    pub(super) fn guess(&self, count: usize) -> Vec<TokenId> {
        self.tokens.iter().take(count).copied().collect()
    }

    pub(super) fn came(&mut self, token: TokenId) {
        let Some(guess) = self.tokens.pop_front() else {
            self.chances.rest(&DRAFTS_FIRST, REST_RATE);
            return;
        };
        let is_right = guess == token;
        self.chances.learn(self.right, is_right);
        self.right += 1;
        if !is_right {
            self.tokens.clear();
        }
    }
}
