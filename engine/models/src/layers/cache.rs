//! The KV cache of one sequence: keys and values of every position so far, for each layer of this rank.

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
    /// Positions held.
    pub(crate) length: u32,
}

impl SlotCache {
    /// An empty cache.
    pub(crate) fn new(layers: usize) -> Self {
        Self {
            layers: std::iter::repeat_with(LayerCache::default)
                .take(layers)
                .collect(),
            length: 0,
        }
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
}

/// Room for `positions` and some more, of the shape and dtype of `like`.
fn empty(like: &Array, positions: i32) -> Result<Array> {
    let mut shape = like.shape().to_vec();
    shape[POSITIONS] = (positions + GROWTH_POSITIONS - 1) / GROWTH_POSITIONS * GROWTH_POSITIONS;
    ops::zeros_dtype(&shape, like.dtype())
}

fn grown(held: Array, positions: i32) -> Result<Array> {
    let capacity = held.dim(POSITIONS as i32);
    if positions <= capacity {
        return Ok(held);
    }
    let more = empty(&held, positions - capacity)?;
    ops::concatenate(&[&held, &more], POSITIONS as i32)
}
