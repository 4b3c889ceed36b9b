//! Beginnings of sequences that this rank has computed: the keys and values of its own layers, block by block.
//!
//! Every rank keeps and gives up on its own; what a new sequence begins with is what all of them have.

use infer::SlotId;
use infer::prefix::{BLOCK_TOKENS, BlockKey, PrefixCache};
use mlx_rs::error::Result;

use crate::layers::{Caches, KeysValues};

/// What all layers of this rank hold of a block.
type Block = Vec<KeysValues>;

/// The beginnings in memory.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    kept: PrefixCache<Block>,
}

impl Prefixes {
    /// Keeps the whole blocks of a sequence, as far as there is `room`: tokens that the cache may hold besides those of the
    /// sequences that run. Their memory is their own, so that MLX goes on writing to the sequence's in place.
    pub(crate) fn keep(&mut self, caches: &mut Caches, slot: SlotId, room: u64) -> Result<()> {
        let Some(held) = caches.get_mut(slot) else {
            return Ok(());
        };
        let blocks = held.tokens.len() / BLOCK_TOKENS;
        if blocks <= held.kept_blocks {
            return Ok(());
        }
        held.kept_blocks = blocks;
        let mut chain = BlockKey::chain(&[], &held.tokens);
        chain.truncate(usize::try_from(room).unwrap_or(usize::MAX) / BLOCK_TOKENS);
        self.kept.keep(&chain, |depth| {
            let from = (depth * BLOCK_TOKENS) as i32;
            caches.block(slot, from..from + BLOCK_TOKENS as i32)
        })
    }

    /// Gives up what there is no room for.
    pub(crate) fn shrink_to(&mut self, room: u64) {
        self.kept.shrink_to(room);
    }

    /// The blocks that are kept of a beginning, the first ones.
    pub(crate) fn find(&mut self, chain: &[BlockKey]) -> Vec<&Block> {
        self.kept.recall(chain)
    }
}
