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

/// How likely guesses are held to be right before any was: one from a new place, one after a few from there that were right,
/// and one after more.
const CHANCES_FIRST: [f64; 3] = [0.5, 0.7, 0.9];
/// So many in a row are more than a few.
const MANY: usize = 4;
/// How much one guess counts against all before it: after some ten misses little trust is left.
const CHANCE_RATE: f64 = 0.125;

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
    /// So many guesses from there were right.
    right: usize,
    /// How likely guesses of each kind are right.
    chances: [f64; 3],
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            followed: HashMap::new(),
            taken_in: 0,
            source: None,
            right: 0,
            chances: CHANCES_FIRST,
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
            let chance = &mut self.chances[kind(self.right)];
            *chance += (counts - *chance) * CHANCE_RATE;
            // What was right goes on where it is.
            self.source = is_right.then_some(source + 1);
            self.right += 1;
        }
        self.take_in(tokens);
        if self.source.is_none() {
            self.source = self.find(tokens);
            self.right = 0;
        }
    }

    /// How likely the next guess is right, and then each with all before it, descending; at most so many, none if there is
    /// no guess.
    pub(crate) fn chances(&self, most: usize) -> impl Iterator<Item = f64> {
        let most = if self.source.is_some() { most } else { 0 };
        (self.right..self.right + most).scan(1.0, |all, right| {
            *all *= self.chances[kind(right)].min(CHANCE_MAX);
            Some(*all)
        })
    }

    /// The next guesses that are more likely right than not.
    pub(crate) fn likely(&self, tokens: &[TokenId]) -> Vec<TokenId> {
        let chances = self.chances(LENGTH_MAX);
        let likely = chances.take_while(|chance| *chance > 0.5);
        self.guess(tokens, likely.count())
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

/// Of a guess after so many that were right.
fn kind(right: usize) -> usize {
    match right {
        0 => 0,
        1..MANY => 1,
        _ => 2,
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
        assert_eq!(after(&nothing, 2).chances(9).count(), 0);
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
        let chances: Vec<f64> = after(&repeating, 20).chances(9).collect();
        assert!(chances.is_sorted_by(|a, b| a > b));
        assert!(chances[0] > 0.95 && chances[8] > 0.8, "{chances:?}");
        // The same two tokens, and always another one after them.
        let deceiving: Vec<TokenId> = (10..40).flat_map(|other| [1, 2, other]).collect();
        let guesses = after(&deceiving[..89], 6);
        assert!(guesses.chances(1).all(|chance| chance < 0.02));
        assert!(guesses.likely(&deceiving[..89]).is_empty());
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
