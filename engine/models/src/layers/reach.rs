//! Which positions before its own a query sees.

use mlx_rs::Array;
use mlx_rs::error::Result;

/// From where on. What comes after its own position no query sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Reach {
    /// From the first.
    #[default]
    All,
    /// So many, its own included.
    Window(i32),
    /// From the last multiple of so many.
    Chunk(i32),
}

impl Reach {
    /// A window, if there is one.
    pub(crate) fn within(window: Option<i32>) -> Self {
        window.map_or(Self::All, Self::Window)
    }

    /// The first position that a query at `position` sees.
    pub(crate) fn first(self, position: i32) -> i32 {
        match self {
            Self::All => 0,
            Self::Window(size) => (position + 1 - size).max(0),
            Self::Chunk(size) => position - position % size.max(1),
        }
    }

    /// The same of queries at `positions`, where they do not all see the first; what lies below 0 is 0.
    pub(crate) fn firsts(self, positions: &Array) -> Result<Option<Array>> {
        match self {
            Self::All => Ok(None),
            Self::Window(size) => positions.subtract(Array::from_int(size - 1)).map(Some),
            Self::Chunk(size) => {
                let size = Array::from_int(size.max(1));
                positions.floor_divide(&size)?.multiply(size).map(Some)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_seen() {
        let firsts = |reach: Reach| [0, 3, 4, 9].map(|position| reach.first(position));
        assert_eq!(firsts(Reach::All), [0; 4]);
        assert_eq!(firsts(Reach::Window(4)), [0, 0, 1, 6]);
        assert_eq!(firsts(Reach::Chunk(4)), [0, 0, 4, 8]);
    }
}
