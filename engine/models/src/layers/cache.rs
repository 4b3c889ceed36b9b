//! The KV cache of one sequence: keys and values of every position so far, for each layer of this rank.

use base::TokenId;
use mlx_rs::error::Result;
use mlx_rs::{Array, ops};

use crate::ops::{slice, slice_update};

/// Positions by which a cache grows: rarely enough that copying is cheap, finely enough that little lies idle.
const GROWTH_POSITIONS: i32 = 256;
/// The axis of positions in `[1, heads, positions, dimensions]`.
const POSITIONS: usize = 2;

/// One sequence's caches.
#[derive(Debug)]
pub(crate) struct SlotCache {
    /// One for each layer of this rank.
    pub(crate) layers: Vec<LayerCache>,
    /// The tokens at the positions held.
    pub(crate) tokens: Vec<TokenId>,
    /// Whole blocks of them that were offered to be kept.
    pub(crate) kept_blocks: usize,
}

/// One layer's keys and values of some positions, `[1, heads, positions, dimensions]` each.
pub(crate) type LayerBlock = (Array, Array);

impl SlotCache {
    /// An empty cache.
    pub(crate) fn new(layers: usize) -> Self {
        Self {
            layers: std::iter::repeat_with(LayerCache::default)
                .take(layers)
                .collect(),
            tokens: Vec::new(),
            kept_blocks: 0,
        }
    }

    /// A cache that begins with `blocks`, each with what all layers hold, of these tokens.
    pub(crate) fn of_blocks(blocks: &[&Vec<LayerBlock>], tokens: &[TokenId]) -> Result<Self> {
        let layers = 0..blocks.first().map_or(0, |block| block.len());
        let layers = layers.map(|layer| {
            let of_layer: Vec<&LayerBlock> = blocks.iter().map(|block| &block[layer]).collect();
            LayerCache::of_blocks(&of_layer, tokens.len() as i32)
        });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            tokens: tokens.to_vec(),
            kept_blocks: blocks.len(),
        })
    }
}

/// One layer's keys and values, `[1, heads, capacity, dimensions]` each.
#[derive(Debug, Default)]
pub(crate) struct LayerCache {
    held: Option<(Array, Array)>,
}

impl LayerCache {
    /// Appends the keys and values of the positions from `position` on, and returns all of them.
    pub(crate) fn extend(
        &mut self,
        keys: &Array,
        values: &Array,
        position: i32,
    ) -> Result<(Array, Array)> {
        let end = position + keys.dim(POSITIONS as i32);
        let (old_keys, old_values) = match self.held.take() {
            Some((old_keys, old_values)) => (grown(old_keys, end)?, grown(old_values, end)?),
            None => (empty(keys, end)?, empty(values, end)?),
        };
        let all_keys = slice_update(&old_keys, keys, POSITIONS, position, end)?;
        let all_values = slice_update(&old_values, values, POSITIONS, position, end)?;
        // The old arrays are dropped here, so that MLX may write into their memory instead of copying it.
        drop((old_keys, old_values));
        let used = (
            slice(&all_keys, POSITIONS, 0, end)?,
            slice(&all_values, POSITIONS, 0, end)?,
        );
        self.held = Some((all_keys, all_values));
        Ok(used)
    }

    /// A copy of what is held of the positions `start..stop`.
    ///
    /// # Panics
    /// If nothing is held.
    pub(crate) fn block(&self, start: i32, stop: i32) -> Result<LayerBlock> {
        let (keys, values) = self.held.as_ref().expect("a layer that has computed");
        // A slice alone would be a view into the whole.
        let copy = |all: &Array| {
            let part = slice(all, POSITIONS, start, stop)?;
            let room = ops::zeros_dtype(part.shape(), part.dtype())?;
            slice_update(&room, &part, POSITIONS, 0, stop - start)
        };
        Ok((copy(keys)?, copy(values)?))
    }

    fn of_blocks(blocks: &[&LayerBlock], positions: i32) -> Result<Self> {
        let keys = joined(blocks.iter().map(|block| &block.0), positions)?;
        let values = joined(blocks.iter().map(|block| &block.1), positions)?;
        Ok(Self {
            held: Some((keys, values)),
        })
    }
}

/// `blocks` one after the other with room to grow; `positions` is their number of positions together.
fn joined<'a>(blocks: impl Iterator<Item = &'a Array>, positions: i32) -> Result<Array> {
    let mut blocks: Vec<&Array> = blocks.collect();
    let mut rest_shape = blocks[0].shape().to_vec();
    rest_shape[POSITIONS] = capacity(positions) - positions;
    let rest = ops::zeros_dtype(&rest_shape, blocks[0].dtype())?;
    if rest_shape[POSITIONS] > 0 {
        blocks.push(&rest);
    }
    ops::concatenate(&blocks, POSITIONS as i32)
}

/// Room for `positions` and some more, of the shape and dtype of `like`.
fn empty(like: &Array, positions: i32) -> Result<Array> {
    let mut shape = like.shape().to_vec();
    shape[POSITIONS] = capacity(positions);
    ops::zeros_dtype(&shape, like.dtype())
}

fn capacity(positions: i32) -> i32 {
    (positions + GROWTH_POSITIONS - 1) / GROWTH_POSITIONS * GROWTH_POSITIONS
}

fn grown(held: Array, positions: i32) -> Result<Array> {
    let capacity = held.dim(POSITIONS as i32);
    if positions <= capacity {
        return Ok(held);
    }
    let more = empty(&held, positions - capacity)?;
    ops::concatenate(&[&held, &more], POSITIONS as i32)
}
