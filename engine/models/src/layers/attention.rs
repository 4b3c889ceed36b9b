//! Causal attention of each row of a step over its own sequence.

use mlx_rs::error::Result;
use mlx_rs::fast::{ScaledDotProductAttentionMask, scaled_dot_product_attention};
use mlx_rs::{Array, ops};

use super::{LayerCache, Rope, RowSpan};
use crate::ops::slice;

/// Heads of this rank.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionShape {
    /// Query heads.
    pub(crate) heads: i32,
    /// Key and value heads, a divisor of `heads`.
    pub(crate) kv_heads: i32,
    /// Elements of a head.
    pub(crate) head_dim: i32,
}

/// Attention of all rows: `q [tokens, heads, head_dim]`, `k` and `v` `[tokens, kv_heads, head_dim]`, not yet rotated, to
/// `[tokens, heads * head_dim]`. `caches` has one entry for each row.
pub(crate) fn attend(
    qkv: [&Array; 3],
    shape: AttentionShape,
    rope: &Rope,
    rows: &[RowSpan],
    caches: &mut [&mut LayerCache],
) -> Result<Array> {
    debug_assert_eq!(rows.len(), caches.len());
    let scale = (shape.head_dim as f32).powf(-0.5);
    let mut outputs = Vec::with_capacity(rows.len());
    for (row, cache) in rows.iter().zip(caches) {
        let [q, k, v] = qkv.map(|all| heads_first(all, row, rows.len()));
        let q = rope.rotate(&q?, row.position)?;
        let k = rope.rotate(&k?, row.position)?;
        let (keys, values) = cache.extend(&k, &v?, row.position)?;
        let mask = (row.tokens > 1).then_some(ScaledDotProductAttentionMask::Causal);
        let attended = scaled_dot_product_attention(q, keys, values, scale, mask, None)?;
        let width = shape.heads * shape.head_dim;
        outputs.push(
            attended
                .transpose_axes(&[0, 2, 1, 3])?
                .reshape(&[row.tokens, width])?,
        );
    }
    match outputs.as_slice() {
        [only] => Ok(only.clone()),
        several => ops::concatenate(several, 0),
    }
}

/// A row's part of `[tokens, heads, head_dim]`, as `[1, heads, row tokens, head_dim]`.
fn heads_first(all: &Array, row: &RowSpan, rows: usize) -> Result<Array> {
    let own = if rows == 1 {
        all.clone()
    } else {
        slice(all, 0, row.first, row.first + row.tokens)?
    };
    own.transpose_axes(&[1, 0, 2])?.expand_dims(0)
}
