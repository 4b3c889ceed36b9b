//! Beginnings of sequences that this rank has computed: the keys and values of its own layers, block by block.
//!
//! Every rank keeps and gives up on its own; what a new sequence begins with is what all of them have.

use infer::prefix::{BLOCK_TOKENS, BlockKey, PrefixCache};
use mlx_rs::error::Result;
use mlx_rs::transforms::eval;

use crate::layers::{LayerBlock, SlotCache};

/// What all layers of this rank hold of a block.
type Block = Vec<LayerBlock>;

/// The beginnings in memory.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    kept: PrefixCache<Block>,
}

impl Prefixes {
    /// Keeps the whole blocks of a sequence, as far as there is `room`: tokens that the cache may hold besides those of the
    /// sequences that run. Their memory is their own, so that MLX goes on writing to the sequence's in place.
    pub(crate) fn keep(&mut self, slot: &mut SlotCache, room: u64) -> Result<()> {
        let blocks = slot.tokens.len() / BLOCK_TOKENS;
        if blocks > slot.kept_blocks {
            slot.kept_blocks = blocks;
            let mut chain = BlockKey::chain(&[], &slot.tokens);
            chain.truncate(usize::try_from(room).unwrap_or(usize::MAX) / BLOCK_TOKENS);
            self.kept.keep(&chain, |depth| block(slot, depth))?;
        }
        Ok(())
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

/// A copy of a block, computed here and now: as long as it is not, it would hold the whole sequence's memory.
fn block(slot: &SlotCache, depth: usize) -> Result<Block> {
    let from = (depth * BLOCK_TOKENS) as i32;
    let copies = slot.layers.iter();
    let copies = copies.map(|layer| layer.block(from, from + BLOCK_TOKENS as i32));
    let copies = copies.collect::<Result<Block>>()?;
    eval(copies.iter().flat_map(|(keys, values)| [keys, values]))?;
    Ok(copies)
}
