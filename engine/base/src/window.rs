//! What caches hold of layers that see only the last positions of a sequence (Beltagy et al. 2020, arXiv 2004.05150), in
//! tokens. The planner counts with it, and workers keep to it.

/// Beside what a window sees, room for what one step writes, and for what is still to be kept of a sequence's beginning.
const SLACK_TOKENS: u64 = 512 + 64;
/// Caches hold a multiple of so many tokens.
const GROWTH_TOKENS: u64 = 256;
/// As many tokens at least are planned for, over all sequences, if as many are planned of layers that see all.
const PLANNED_TOKENS_MIN: u64 = 8192;
/// Where many tokens are planned they are of a few long sequences: so windows have room for one part of them in so many.
const PLANNED_PART: u64 = 4;

/// How far layers see that do not see all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheWindow(u32);

impl CacheWindow {
    /// So many positions, the query's own included; `None` if it is none.
    pub fn new(tokens: u32) -> Option<Self> {
        (tokens > 0).then_some(Self(tokens))
    }

    /// The number of positions, at least 1.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Tokens that are held of one sequence at most, however long it is: a multiple of 256.
    pub fn held_max(self) -> u64 {
        (u64::from(self.0) + SLACK_TOKENS).next_multiple_of(GROWTH_TOKENS)
    }

    /// Tokens that are held of a sequence of so many.
    pub fn held(self, tokens: u64) -> u64 {
        tokens.min(self.held_max())
    }

    /// Tokens that there is room for, over all sequences, where there is for so many in layers that see all.
    pub fn planned(self, cache_tokens: u64) -> u64 {
        let some = cache_tokens / PLANNED_PART;
        let least = PLANNED_TOKENS_MIN.max(self.held_max());
        cache_tokens.min(some.max(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_little_of_what_is_long() {
        let window = CacheWindow::new(128).unwrap();
        assert_eq!(window.held_max(), 768);
        assert_eq!(
            [100, 768, 100_000].map(|tokens| window.held(tokens)),
            [100, 768, 768]
        );
        assert_eq!(CacheWindow::new(0), None);
    }

    #[test]
    fn of_many_tokens_a_part_is_planned_and_one_sequence_always_fits() {
        for tokens in [1, 128, 1024, 40_000] {
            let window = CacheWindow::new(tokens).unwrap();
            let planned = |all| window.planned(all);
            assert_eq!(planned(4096), 4096);
            assert!(planned(131_072) <= 131_072 / 4 + window.held_max());
            for all in [1, 5000, 8192, 131_072, u64::from(u32::MAX)] {
                assert!(planned(all) >= window.held(all), "the longest there can be");
            }
        }
    }
}
