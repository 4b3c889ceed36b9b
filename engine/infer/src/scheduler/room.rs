//! For which sequences caches have room, and who is set back when they have not.

use super::sequence::Sequence;
use super::{Limits, Scheduler};

/// A sequence begins when there is room for it to grow by so many tokens, so that it is not soon set back.
const GROWTH_TOKENS: u64 = 64;

impl Scheduler {
    pub(super) fn has_room_for(&self, sequence: &Sequence) -> bool {
        let running = self.running.iter().map(|running| &running.sequence);
        let needed = running
            .chain([sequence])
            .map(|sequence| sequence.cache_tokens_after(GROWTH_TOKENS));
        !self.free_slots.is_empty() && self.limits.left_beside(needed).is_some()
    }

    /// Sets sequences back until the others have room for their next tokens, the last that came first. One alone
    /// always has room, or it would have been refused; so the first goes on, and in its turn each.
    pub(super) fn make_room(&mut self) {
        while self.cache_tokens_left().is_none() && self.running.len() > 1 {
            let mut sequence = self.release(self.running.len() - 1);
            sequence.lose_cache();
            self.waiting.set_back(sequence);
        }
    }

    /// Tokens of cache that the next step needs.
    pub(super) fn cache_tokens(&self) -> u64 {
        let running = self.running.iter();
        running.map(|running| running.sequence.cache_tokens()).sum()
    }

    /// Tokens of cache that the next step leaves; `None` if it needs more than there is.
    pub(super) fn cache_tokens_left(&self) -> Option<u64> {
        let running = self.running.iter();
        let needed = running.map(|running| running.sequence.cache_tokens());
        self.limits.left_beside(needed)
    }
}

impl Limits {
    /// How many tokens more caches surely have room for beside sequences of so many each; `None` if there is none for those.
    fn left_beside(&self, sequences: impl Iterator<Item = u64>) -> Option<u64> {
        let (mut held, mut in_windows) = (0, 0);
        for tokens in sequences {
            held += tokens;
            in_windows += self.window.map_or(0, |window| window.held(tokens));
        }
        let left = self.cache_tokens_max.checked_sub(held)?;
        let Some(window) = self.window else {
            return Some(left);
        };
        let left_in_windows = window
            .planned(self.cache_tokens_max)
            .checked_sub(in_windows)?;
        Some(left.min(left_in_windows))
    }
}
