//! What sequences leave of the memory that is planned for caches. Pure.

use base::CacheWindow;

use super::{Memory, Remembered};

/// What a token takes, in bytes of the whole model's layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// In layers that see all.
    whole: u64,
    /// In those that see a window.
    in_window: u64,
    window: Option<CacheWindow>,
}

impl Budget {
    /// Of a rank with such caches, the widest of whose windows is `window`.
    pub(super) fn new(layers: &[Remembered], window: Option<CacheWindow>) -> Self {
        let bytes = |has_window: bool| {
            let own = layers.iter().filter(|layer| match layer.memory {
                Memory::Window(_) => has_window,
                Memory::Positions => !has_window,
                Memory::State | Memory::Nothing => false,
            });
            own.map(|layer| layer.bytes).sum()
        };
        Self {
            whole: bytes(false),
            in_window: bytes(true),
            window,
        }
    }

    /// How many tokens that all layers hold there is room for beside sequences, where there is for so many of these.
    pub(super) fn left(&self, cache_tokens: u64, sequences: impl Iterator<Item = u64>) -> u64 {
        let Some(window) = self.window else {
            return cache_tokens.saturating_sub(sequences.sum());
        };
        let taken = sequences.map(|tokens| self.bytes(tokens, window.held(tokens)));
        let all = self.bytes(cache_tokens, window.planned(cache_tokens));
        let left = all.saturating_sub(taken.sum());
        left.checked_div(self.whole + self.in_window).unwrap_or(0)
    }

    const fn bytes(&self, tokens: u64, in_windows: u64) -> u64 {
        self.whole
            .saturating_mul(tokens)
            .saturating_add(self.in_window.saturating_mul(in_windows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(memory: Memory) -> Remembered {
        Remembered {
            memory,
            packing: None,
            bytes: 10,
        }
    }

    #[test]
    fn where_all_is_seen_what_is_left_are_the_tokens_that_nobody_has() {
        let budget = Budget::new(&[layer(Memory::Positions), layer(Memory::State)], None);
        assert_eq!(budget.left(1000, [100, 300].into_iter()), 600);
        assert_eq!(budget.left(1000, [1100].into_iter()), 0);
    }

    #[test]
    fn a_long_sequence_takes_little_of_windows() {
        let window = CacheWindow::new(128);
        let layers = [layer(Memory::Positions), layer(Memory::Window(128))];
        let budget = Budget::new(&layers, window);
        // 100,000 of those that see all, and 25,000 in windows.
        assert_eq!(budget.left(100_000, [].into_iter()), 62_500);
        let long = [60_000].into_iter();
        assert_eq!(budget.left(100_000, long), 32_116);
    }
}
