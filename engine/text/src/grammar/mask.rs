//! A set of tokens, and what it does to logits.

use base::TokenId;

/// Tokens in one word.
const BITS: usize = u32::BITS as usize;

/// Which tokens may come next.
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    /// Token i is bit i % 32 of word i / 32; what is beyond the last word is not allowed.
    words: Vec<u32>,
}

impl Mask {
    /// Nothing is allowed.
    pub(super) fn none(token_count: u32) -> Self {
        let words = vec![0; (token_count as usize).div_ceil(BITS)];
        Self { words }
    }

    /// From bits, of which there may be more than tokens.
    pub(super) fn new(words: &[u32], token_count: u32) -> Self {
        let count = token_count as usize;
        let mut words = words[..count.div_ceil(BITS)].to_vec();
        if let Some(last) = words.last_mut().filter(|_| !count.is_multiple_of(BITS)) {
            *last &= (1 << (count % BITS)) - 1;
        }
        Self { words }
    }

    /// Allows tokens; one that the tokenizer does not know can still be one of the model's.
    pub(super) fn allow(&mut self, tokens: &[TokenId]) {
        for &token in tokens {
            let word = token as usize / BITS;
            if word >= self.words.len() {
                self.words.resize(word + 1, 0);
            }
            self.words[word] |= 1 << (token as usize % BITS);
        }
    }

    /// What both allow.
    pub(super) fn and(&self, other: &Self) -> Self {
        let words = self.words.iter().zip(&other.words);
        Self {
            words: words.map(|(a, b)| a & b).collect(),
        }
    }

    /// The first token that may come next, if any may.
    pub(super) fn first(&self) -> Option<TokenId> {
        let at = self.words.iter().position(|word| *word != 0)?;
        let bit = self.words[at].trailing_zeros();
        Some((at * BITS) as TokenId + bit)
    }

    /// Whether a token may come next.
    pub fn allows(&self, token: TokenId) -> bool {
        let word = self.words.get(token as usize / BITS);
        word.is_some_and(|word| word & (1 << (token as usize % BITS)) != 0)
    }

    /// Sets the logits of all other tokens to minus infinity.
    pub fn apply(&self, logits: &mut [f32]) {
        let words = self.words.iter().copied().chain(std::iter::repeat(0));
        for (logits, word) in logits.chunks_mut(BITS).zip(words) {
            // Nearly every word is one of these two.
            if word == 0 {
                logits.fill(f32::NEG_INFINITY);
            } else if word != u32::MAX {
                for (bit, logit) in logits.iter_mut().enumerate() {
                    if word & (1 << bit) == 0 {
                        *logit = f32::NEG_INFINITY;
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let allowed: u32 = self.words.iter().map(|word| word.count_ones()).sum();
        write!(f, "Mask({allowed} tokens)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allowed_keeps_its_logit() {
        let mut mask = Mask::new(&[u32::MAX, 0, u32::MAX], 70);
        mask.allow(&[33, 99]);
        let mut logits = vec![1.0; 120];
        mask.apply(&mut logits);
        for (token, logit) in (0..).zip(&logits) {
            let allowed = token < 32 || token == 33 || (64..70).contains(&token) || token == 99;
            assert_eq!(mask.allows(token), allowed, "{token}");
            assert_eq!(logit.is_finite(), allowed, "{token}");
        }
        // A model with fewer tokens than its tokenizer.
        mask.apply(&mut logits[..5]);
        assert_eq!(logits[..5], [1.0; 5]);
        assert!(!Mask::none(40).allows(3) && !Mask::none(40).allows(1000));
        assert_eq!(Mask::none(40).first(), None);
        let mut other = Mask::none(0);
        other.allow(&[33, 34, 99]);
        let both = mask.and(&other);
        assert_eq!(both.first(), Some(33));
        assert!(both.allows(99) && !both.allows(34));
    }
}
