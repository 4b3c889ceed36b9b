//! Tokens on their way through the layers: what this rank's layers have made of them so far.
//!
//! A step may take a row through some of the layers only. In a pipeline every rank sees the whole plan, so that each knows
//! when the tokens come to its first layer, and when they leave its last.

use std::collections::HashMap;
use std::ops::Range;

use infer::{LayerPart, SlotId};
use mlx_rs::Array;

/// Hidden states `[tokens, hidden]` between two steps.
#[derive(Debug, Default)]
pub(crate) struct Chunks(HashMap<SlotId, Array>);

/// What a step does with a chunk on this rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passage {
    /// It comes in.
    pub(crate) enters: bool,
    /// It goes through these of the rank's own layers, counted from its first; there may be none.
    pub(crate) layers: Range<usize>,
    /// It has been through all of them.
    pub(crate) leaves: bool,
}

impl Passage {
    /// Of a rank with the layers `own`; `None` if the chunk is elsewhere.
    pub(crate) fn of(part: LayerPart, own: &Range<u32>) -> Option<Self> {
        let enters = if own.start == 0 {
            part.from == 0
        } else {
            part.from < own.start && own.start <= part.to
        };
        let (from, to) = (part.from.max(own.start), part.to.min(own.end));
        let goes = from < to;
        (enters || goes).then(|| Self {
            enters,
            layers: if goes {
                (from - own.start) as usize..(to - own.start) as usize
            } else {
                0..0
            },
            leaves: goes && to == own.end,
        })
    }

    /// Whether it has been through layers of this rank before.
    pub(crate) const fn goes_on(&self) -> bool {
        self.layers.start > 0
    }
}

impl Chunks {
    pub(crate) fn keep(&mut self, slot: SlotId, hidden: Array) {
        self.0.insert(slot, hidden);
    }

    pub(crate) fn take(&mut self, slot: SlotId) -> Option<Array> {
        self.0.remove(&slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(from: u32, to: u32, own: Range<u32>) -> Option<(bool, Range<usize>, bool)> {
        let part = LayerPart { from, to, of: 8 };
        let passage = Passage::of(part, &own)?;
        Some((passage.enters, passage.layers, passage.leaves))
    }

    #[test]
    fn one_rank_sees_all() {
        assert_eq!(passage(0, 3, 0..8), Some((true, 0..3, false)));
        assert_eq!(passage(3, 5, 0..8), Some((false, 3..5, false)));
        assert_eq!(passage(5, 8, 0..8), Some((false, 5..8, true)));
    }

    #[test]
    fn two_ranks_hand_on_where_the_first_ends() {
        for (from, to, first, second) in [
            (0, 3, Some((true, 0..3, false)), None),
            // Exactly to the end of the first, which hands on in this step.
            (3, 4, Some((false, 3..4, true)), Some((true, 0..0, false))),
            (4, 6, None, Some((false, 0..2, false))),
            // Over the border.
            (2, 6, Some((false, 2..4, true)), Some((true, 0..2, false))),
            (6, 8, None, Some((false, 2..4, true))),
        ] {
            assert_eq!(passage(from, to, 0..4), first, "{from}..{to}");
            assert_eq!(passage(from, to, 4..8), second, "{from}..{to}");
        }
    }
}
