//! What whoever asks predicts of the answer: it is followed from its beginning, and where the answer goes another way it is
//! looked for where it comes back.

use base::TokenId;

/// Places looked at for one token: a look takes some ten microseconds at most.
const LOOKED_AT_MAX: usize = 1 << 14;

/// A predicted answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Prediction {
    tokens: Vec<TokenId>,
    /// Where the answer left it.
    left: usize,
}

impl Prediction {
    pub(super) const fn new(tokens: Vec<TokenId>) -> Self {
        Self { tokens, left: 0 }
    }

    /// What is predicted from there on.
    pub(super) fn from(&self, at: usize) -> &[TokenId] {
        self.tokens.get(at..).unwrap_or_default()
    }

    /// The answer is not as predicted from there on.
    pub(super) const fn leave(&mut self, at: usize) {
        self.left = at;
    }

    /// The place after the last so many of these tokens: the next from where the answer left it, or else the first of all.
    pub(super) fn find(&self, tokens: &[TokenId], length: usize) -> Option<usize> {
        let last = &tokens[tokens.len().checked_sub(length)?..];
        let places = (self.left.max(length)..self.tokens.len()).chain(length..self.left);
        let mut places = places.take(LOOKED_AT_MAX);
        places.find(|&at| at < self.tokens.len() && self.tokens[at - length..at] == *last)
    }
}
