//! Where recurrent layers stood at the ends of some blocks: without that a sequence cannot go on from there.
//!
//! One is as large as the keys and values of some thousand tokens, so of a sequence few are kept. In memory only.

use std::collections::HashMap;

use infer::SlotId;
use infer::prefix::BlockKey;

use crate::layers::State;

/// Those that are kept.
#[derive(Debug, Default)]
pub(super) struct States {
    kept: HashMap<BlockKey, Kept>,
    uses: u64,
    trails: HashMap<SlotId, Trail>,
}

#[derive(Debug)]
struct Kept {
    /// Of each recurrent layer of this rank.
    states: Vec<State>,
    bytes: u64,
    used: u64,
}

/// What a sequence that runs has left.
#[derive(Debug, Clone, Copy, Default)]
struct Trail {
    /// Blocks before the last state but one that stays.
    stays: usize,
    last: Option<Mark>,
}

/// The last state of a sequence.
#[derive(Debug, Clone, Copy)]
struct Mark {
    key: BlockKey,
    blocks: usize,
    /// It came of the prompt, not of an answer.
    is_read: bool,
}

impl States {
    /// Whether there is one at the end of this block.
    pub(super) fn has(&self, key: BlockKey) -> bool {
        self.kept.contains_key(&key)
    }

    /// The one at the end of a beginning, with which a slot goes on.
    pub(super) fn recall(&mut self, slot: SlotId, chain: &[BlockKey]) -> Option<&[State]> {
        let key = *chain.last()?;
        self.uses += 1;
        let kept = self.kept.get_mut(&key)?;
        kept.used = self.uses;
        let stays = Trail {
            stays: chain.len(),
            last: None,
        };
        self.trails.insert(slot, stays);
        Some(&kept.states)
    }

    /// Keeps where a sequence stands at the end of `chain`, after a step of so many `tokens`. Of those before it the last one
    /// of the prompt stays, and any that is twice as far as the one before.
    pub(super) fn keep(
        &mut self,
        slot: SlotId,
        chain: &[BlockKey],
        tokens: usize,
        states: Vec<State>,
    ) {
        let Some(&key) = chain.last() else {
            return;
        };
        let mark = Mark {
            key,
            blocks: chain.len(),
            is_read: tokens > 1,
        };
        let trail = self.trails.entry(slot).or_default();
        if let Some(last) = trail.last.replace(mark) {
            if last.is_read != mark.is_read || last.blocks >= 2 * trail.stays.max(1) {
                trail.stays = last.blocks;
            } else {
                self.kept.remove(&last.key);
            }
        }
        self.uses += 1;
        let arrays = states.iter().flat_map(|(first, second)| [first, second]);
        let bytes = arrays.map(|array| array.nbytes() as u64).sum();
        let used = self.uses;
        self.kept.insert(
            key,
            Kept {
                states,
                bytes,
                used,
            },
        );
    }

    /// A sequence has ended. What it left stays.
    pub(super) fn forget(&mut self, slot: SlotId) {
        self.trails.remove(&slot);
    }

    /// Gives up those used longest ago until the others have at most so many bytes. Returns how many they have.
    pub(super) fn shrink_to(&mut self, bytes_max: u64) -> u64 {
        loop {
            let bytes: u64 = self.kept.values().map(|kept| kept.bytes).sum();
            if bytes <= bytes_max {
                return bytes;
            }
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else {
                return bytes;
            };
            self.kept.remove(&oldest);
        }
    }
}
