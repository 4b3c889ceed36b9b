//! Causal attention of the tokens of a step, each over its own sequence.

use mlx_rs::error::Result;
use mlx_rs::fast::{ScaledDotProductAttentionMask, scaled_dot_product_attention};
use mlx_rs::{Array, ops};

use super::{Rope, Run, StepLayer};
use crate::ops::slice;

/// Queries of a sequence that are attended together. MLX's kernel for a GPU passes over what none of them sees; on a CPU
/// all of it is computed and then masked, so there they are few.
const QUERY_BLOCK: Option<i32> = if cfg!(target_os = "macos") {
    None
} else {
    Some(64)
};

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

/// Attention of all tokens: `q [tokens, heads, head_dim]`, `k` and `v` `[tokens, kv_heads, head_dim]`, not yet rotated, to
/// `[tokens, heads * head_dim]`.
pub(crate) fn attend(
    [q, k, v]: [&Array; 3],
    shape: AttentionShape,
    rope: &Rope,
    cache: &mut StepLayer<'_>,
) -> Result<Array> {
    // Each token is a batch of its own, so that each is rotated by its own position.
    let q = rope.rotate(&q.expand_dims(2)?, cache.positions())?;
    let k = rope.rotate(&k.expand_dims(2)?, cache.positions())?;
    cache.write(&k, &v.expand_dims(2)?)?;
    let outputs = cache.runs().iter().map(|run| attend_run(&q, run, cache));
    let outputs = outputs.collect::<Result<Vec<Array>>>()?;
    let all = match outputs.as_slice() {
        [only] => only.clone(),
        several => ops::concatenate(several, 0)?,
    };
    all.reshape(&[-1, shape.heads * shape.head_dim])
}

/// A run's part of `q [tokens, heads, 1, head_dim]`, to the same shape.
fn attend_run(q: &Array, run: &Run, cache: &StepLayer<'_>) -> Result<Array> {
    let scale = (q.dim(3) as f32).powf(-0.5);
    let q = slice(q, &[(0, run.tokens.clone())])?;
    let (keys, values) = cache.read(run)?;
    // Several tokens of one sequence are positions; one each of several sequences are a batch.
    let is_sequence = run.tokens.len() > 1 && keys.dim(0) == 1;
    if !is_sequence {
        let mask = run.mask.as_ref();
        let mask = mask.map(ScaledDotProductAttentionMask::Array);
        return scaled_dot_product_attention(q, keys, values, scale, mask, None);
    }
    let q = q.transpose_axes(&[2, 1, 0, 3])?;
    attend_sequence(&q, &keys, &values, scale)?.transpose_axes(&[2, 1, 0, 3])
}

/// Queries of the last positions of `keys` and `values`, all `[1, heads, positions, head_dim]`.
fn attend_sequence(q: &Array, keys: &Array, values: &Array, scale: f32) -> Result<Array> {
    let causal = |q: &Array, keys: &Array, values: &Array| {
        let mask = Some(ScaledDotProductAttentionMask::Causal);
        scaled_dot_product_attention(q, keys, values, scale, mask, None)
    };
    let (count, end) = (q.dim(2), keys.dim(2));
    let block = QUERY_BLOCK.unwrap_or(count);
    if count <= block {
        return causal(q, keys, values);
    }
    let blocks = (0..count).step_by(block as usize).map(|first| {
        let next = (first + block).min(count);
        let seen = [(2, 0..end - count + next)];
        let q = slice(q, &[(2, first..next)])?;
        causal(&q, &slice(keys, &seen)?, &slice(values, &seen)?)
    });
    ops::concatenate(&blocks.collect::<Result<Vec<Array>>>()?, 2)
}
