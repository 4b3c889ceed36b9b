//! A sequence in a slot.

use super::flight::Stay;
use super::sequence::Sequence;
use crate::backend::SlotId;

/// A sequence, and where it runs.
pub struct Running {
    pub slot: SlotId,
    pub stay: Stay,
    /// When it was last served.
    pub turn: u64,
    pub sequence: Sequence,
}

impl Running {
    /// Who is served first has the least: answers, then what is half read, then prompts in turn, so that a short one need not
    /// wait for the end of a long one.
    pub fn rank(&self) -> (bool, bool, u64) {
        let reads = self.sequence.is_reading();
        let begins = reads && !self.sequence.is_half_read();
        (reads, begins, self.turn)
    }
}
