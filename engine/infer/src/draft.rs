//! Guesses at what a sequence goes on with, made of its own text: where its last tokens were before, what followed is likely
//! to follow again. Code, quotations and structured answers repeat much.
//!
//! The idea: "Inference with Reference" (Yang and others 2023, arXiv 2304.04487) and prompt lookup decoding (Saxena 2023).
//! Every token that comes is compared with the guess at it, whether or not a step computed that guess: so it is known at no
//! cost how likely guesses are right, and nothing need be tried where they are not.

use std::collections::HashMap;

use base::TokenId;

use crate::sampler::mix;

/// So many last tokens are looked for: the longer is looked for first.
const LENGTHS: [usize; 2] = [3, 2];

/// How likely the first guess is held to be right.
const CHANCE_FIRST: f64 = 0.5;
/// How much one guess counts against all before it: after four misses little trust is left, after four hits there is much.
const CHANCE_RATE: f64 = 0.25;

/// However often guesses were right, one may be wrong.
const CHANCE_MAX: f64 = 0.98;

/// Most guesses at once at one sequence.
pub(crate) const LENGTH_MAX: usize = 16;

/// Tokens taken in at once: of a long prompt that was found computed a part with each token of its answer, so that no step
/// waits for it.
const TAKEN_IN_MAX: usize = 4096;

/// What is known of one sequence.
#[derive(Debug, Clone)]
pub(crate) struct Guesses {
    /// Where what followed the last such tokens is, by their hash.
    followed: HashMap<u64, u32>,
    /// So many of the sequence's tokens are taken in.
    taken_in: usize,
    /// Where the token is that comes next, if the sequence repeats itself.
    source: Option<usize>,
    chance: f64,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            followed: HashMap::new(),
            taken_in: 0,
            source: None,
            chance: CHANCE_FIRST,
        }
    }
}

impl Guesses {
    /// Takes in some more of a sequence.
    pub(crate) fn take_in(&mut self, tokens: &[TokenId]) {
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

    /// The last of a sequence's `tokens` has just come.
    pub(crate) fn came(&mut self, tokens: &[TokenId]) {
        if let Some(source) = self.source.take() {
            let is_right = tokens.last() == Some(&tokens[source]);
            let counts = if is_right { 1.0 } else { 0.0 };
            self.chance += (counts - self.chance) * CHANCE_RATE;
            // What was right goes on where it is.
            self.source = is_right.then_some(source + 1);
        }
        self.take_in(tokens);
        self.source = self.source.or_else(|| self.find(tokens));
    }

    /// How likely a guess is right, if there is one.
    pub(crate) fn chance(&self) -> Option<f64> {
        self.source.map(|_| self.chance.min(CHANCE_MAX))
    }

    /// The next guesses that are more likely right than not.
    pub(crate) fn likely(&self, tokens: &[TokenId]) -> Vec<TokenId> {
        let chance = self.chance().unwrap_or(0.0);
        let are_likely = |count: &usize| chance.powi(*count as i32) > 0.5;
        let count = (1..=LENGTH_MAX).take_while(are_likely).count();
        self.guess(tokens, count)
    }

    /// What comes next, so many tokens; none if there is no guess. Where they reach beyond the end of `tokens` they repeat
    /// themselves.
    pub(crate) fn guess(&self, tokens: &[TokenId], count: usize) -> Vec<TokenId> {
        let mut guessed = Vec::with_capacity(count);
        if let Some(source) = self.source {
            for at in source..source + count {
                let known = tokens.get(at).copied();
                guessed.push(known.unwrap_or_else(|| guessed[at - tokens.len()]));
            }
        }
        guessed
    }

    /// Where what followed the last tokens is, when they were there before.
    fn find(&self, tokens: &[TokenId]) -> Option<usize> {
        let mut lengths = LENGTHS.into_iter().filter(|length| *length <= tokens.len());
        lengths.find_map(|length| {
            let last = &tokens[tokens.len() - length..];
            let at = *self.followed.get(&key(last))? as usize;
            // Others may have the same hash.
            (tokens[at - length..at] == *last).then_some(at)
        })
    }
}

fn key(tokens: &[TokenId]) -> u64 {
    let length = tokens.len() as u64;
    tokens
        .iter()
        .fold(length, |hash, &token| mix(hash ^ (u64::from(token) << 8)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is known when `tokens` have come, of which the first were `given`.
    fn after(tokens: &[TokenId], given: usize) -> Guesses {
        let mut guesses = Guesses::default();
        guesses.take_in(&tokens[..given]);
        for end in given + 1..=tokens.len() {
            guesses.came(&tokens[..end]);
        }
        guesses
    }

    #[test]
    fn what_followed_before_is_guessed() {
        let tokens = [5, 6, 7, 8, 9, 1, 6, 7];
        assert_eq!(after(&tokens, 6).guess(&tokens, 3), [8, 9, 1]);
        assert_eq!(after(&tokens, 6).guess(&tokens, 6), [8, 9, 1, 6, 7, 8]);
        let nothing = [1, 2, 3, 4];
        assert_eq!(after(&nothing, 2).chance(), None);
        assert!(after(&nothing, 2).guess(&nothing, 3).is_empty());
    }

    #[test]
    fn more_tokens_in_common_count_more_than_newer_ones() {
        let tokens = [1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3];
        assert_eq!(after(&tokens, 8).guess(&tokens, 1), [4]);
        let newest = [2, 3, 4, 9, 2, 3, 5, 8, 2, 3];
        assert_eq!(after(&newest, 8).guess(&newest, 1), [5]);
    }

    #[test]
    fn a_loop_goes_on_beyond_what_there_is() {
        let tokens = [3, 7, 7, 7];
        assert_eq!(after(&tokens, 1).guess(&tokens, 5), [7; 5]);
    }

    #[test]
    fn trust_follows_what_came() {
        let repeating: Vec<TokenId> = (0..10).cycle().take(40).collect();
        assert!(after(&repeating, 20).chance().unwrap() > 0.95);
        // The same two tokens, and always another one after them.
        let deceiving: Vec<TokenId> = (10..40).flat_map(|other| [1, 2, other]).collect();
        let guesses = after(&deceiving[..89], 6);
        assert!(guesses.chance().unwrap() < 0.01);
    }

    #[test]
    fn a_long_prompt_is_taken_in_piece_by_piece() {
        let tokens: Vec<TokenId> = (0..3 * TAKEN_IN_MAX as TokenId).collect();
        let mut guesses = Guesses::default();
        guesses.take_in(&tokens);
        assert_eq!(guesses.taken_in, TAKEN_IN_MAX);
        guesses.take_in(&tokens);
        guesses.take_in(&tokens);
        assert_eq!(guesses.taken_in, tokens.len());
        let again = [&tokens[..], &tokens[7000..7002]].concat();
        guesses.came(&again);
        assert_eq!(guesses.guess(&again, 2), [7002, 7003]);
    }

    /// The last place before the end where what stands at the end stands too, by looking everywhere.
    fn searched(tokens: &[TokenId]) -> Option<usize> {
        let ends = |length: &usize, at: usize| {
            at >= *length && tokens[at - length..at] == tokens[tokens.len() - length..]
        };
        let found = |length: &usize| (0..tokens.len()).rev().find(|&at| ends(length, at));
        let mut lengths = LENGTHS.iter().filter(|length| **length <= tokens.len());
        lengths.find_map(found)
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_search_does(
            tokens in prop::collection::vec(0_u32..4, 1..60),
        ) {
            let mut guesses = Guesses::default();
            for end in 1..=tokens.len() {
                guesses.take_in(&tokens[..end]);
                prop_assert_eq!(guesses.find(&tokens[..end]), searched(&tokens[..end]));
            }
        }
    }
}
