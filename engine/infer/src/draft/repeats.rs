//! Where a sequence's last tokens were before in it.

use std::collections::HashMap;

use base::TokenId;

use super::LENGTHS;
use crate::sampler::mix;

/// Tokens taken in at once: of a long prompt that was found computed a part with each token of its answer, so that no step
/// waits for it.
pub(super) const TAKEN_IN_MAX: usize = 4096;

/// Where what followed tokens is, by their hash.
#[derive(Debug, Clone, Default)]
pub(super) struct Repeats {
    followed: HashMap<u64, u32>,
    /// So many of the sequence's tokens are taken in.
    pub(super) taken_in: usize,
}

impl Repeats {
    /// Takes in some more of a sequence.
    pub(super) fn take_in(&mut self, tokens: &[TokenId]) {
        let end = tokens.len().min(self.taken_in + TAKEN_IN_MAX);
        for at in self.taken_in..end {
            let lengths = LENGTHS.into_iter().filter(|length| *length <= at);
            for length in lengths {
                let key = key(&tokens[at - length..at]);
                self.followed.insert(key, at as u32);
            }
        }
        self.taken_in = self.taken_in.max(end);
    }

    /// The last place after the last so many tokens, when they were there before.
    pub(super) fn find(&self, tokens: &[TokenId], length: usize) -> Option<usize> {
        let last = &tokens[tokens.len().checked_sub(length)?..];
        let at = *self.followed.get(&key(last))? as usize;
        // Others may have the same hash.
        (tokens[at - length..at] == *last).then_some(at)
    }
}

fn key(tokens: &[TokenId]) -> u64 {
    let length = tokens.len() as u64;
    tokens
        .iter()
        .fold(length, |hash, &token| mix(hash ^ (u64::from(token) << 8)))
}
