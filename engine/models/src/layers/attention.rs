//! Causal attention of the tokens of a step, each over its own sequence.

use std::ops::Range;

use mlx_rs::error::Result;
use mlx_rs::fast::{ScaledDotProductAttentionMask, scaled_dot_product_attention};
use mlx_rs::{Array, Dtype, ops};

use super::{Reach, Run, StepLayer};
use crate::ops::{kernels, slice};

/// Queries of a sequence that are attended together on a processor.
const QUERY_BLOCK: i32 = 64;

/// How many of `count` queries of a sequence are attended together. MLX's kernel for a GPU passes over what none of them
/// sees; on a processor all of it is computed and then masked, so there they are few.
pub(super) fn queries_together(count: i32) -> i32 {
    if kernels::are_here() {
        count
    } else {
        count.min(QUERY_BLOCK)
    }
}

/// How queries score keys.
#[derive(Debug)]
pub(crate) struct Scoring {
    /// Multiplies their products.
    pub(crate) scale: f32,
    pub(crate) reach: Reach,
    /// What each head adds to the sum of its softmax, `[heads]` (Xiao et al. 2023, arXiv 2309.17453).
    pub(crate) sinks: Option<Array>,
}

/// Attention of all tokens over what the cache holds of their sequences, their own keys and values included:
/// `q [tokens, heads, 1, head_dim]` to `[tokens, heads, 1, value_dim]`.
pub(crate) fn attend(q: &Array, scoring: &Scoring, cache: &StepLayer<'_>) -> Result<Array> {
    let outputs = cache.runs().iter().map(|run| scoring.of_run(q, run, cache));
    let outputs = outputs.collect::<Result<Vec<Array>>>()?;
    match outputs.as_slice() {
        [only] => Ok(only.clone()),
        several => ops::concatenate(several, 0),
    }
}

impl Scoring {
    /// A run's part of the queries.
    fn of_run(&self, q: &Array, run: &Run, cache: &StepLayer<'_>) -> Result<Array> {
        let q = slice(q, &[(0, run.tokens.clone())])?;
        let [keys, values] = cache.read(run)?;
        if !run.is_sequence() {
            let mask = run.mask(self.reach);
            // One query of one sequence needs no mask where it sees only what is given.
            let first = match &mask {
                None => self.reach.first(keys.dim(2) - 1),
                Some(_) => 0,
            };
            let (keys, values) = (since(&keys, first)?, since(&values, first)?);
            return self.masked(&q, &keys, &values, mask.as_ref());
        }
        let q = q.transpose_axes(&[2, 1, 0, 3])?;
        let attended = self.sequence(&q, &keys, &values)?;
        attended.transpose_axes(&[2, 1, 0, 3])
    }

    /// Queries of the last positions of `keys` and `values`, all `[1, heads, positions, dimensions]`.
    fn sequence(&self, q: &Array, keys: &Array, values: &Array) -> Result<Array> {
        let (count, end) = (q.dim(2), keys.dim(2));
        let block = queries_together(count);
        if count <= block {
            return self.block(q, keys, values);
        }
        let blocks = (0..count).step_by(block as usize).map(|first| {
            let next = (first + block).min(count);
            let seen = [(2, 0..end - count + next)];
            let q = slice(q, &[(2, first..next)])?;
            self.block(&q, &slice(keys, &seen)?, &slice(values, &seen)?)
        });
        ops::concatenate(&blocks.collect::<Result<Vec<Array>>>()?, 2)
    }

    /// The same at once.
    fn block(&self, q: &Array, keys: &Array, values: &Array) -> Result<Array> {
        let (count, end) = (q.dim(2), keys.dim(2));
        // What the first of them sees and all after it.
        let first = self.reach.first(end - count);
        let (keys, values) = (since(keys, first)?, since(values, first)?);
        if self.reach.first(end - 1) == first {
            let mask = ScaledDotProductAttentionMask::Causal;
            return self.attention(q, &keys, &values, Some(mask));
        }
        let mask = causal_mask(end - count..end, first, self.reach)?;
        self.masked(q, &keys, &values, Some(&mask))
    }

    fn masked(
        &self,
        q: &Array,
        keys: &Array,
        values: &Array,
        mask: Option<&Array>,
    ) -> Result<Array> {
        let mask = mask.map(ScaledDotProductAttentionMask::Array);
        self.attention(q, keys, values, mask)
    }

    fn attention(
        &self,
        q: &Array,
        keys: &Array,
        values: &Array,
        mask: Option<ScaledDotProductAttentionMask<'_>>,
    ) -> Result<Array> {
        scaled_dot_product_attention(q, keys, values, self.scale, mask, self.sinks.as_ref())
    }
}

/// The positions from `first` on.
fn since(array: &Array, first: i32) -> Result<Array> {
    if first == 0 {
        return Ok(array.clone());
    }
    slice(array, &[(2, first..array.dim(2))])
}

/// What each of the queries at these positions sees of those from `first` on, `[queries, positions]`.
pub(super) fn causal_mask(queries: Range<i32>, first: i32, reach: Reach) -> Result<Array> {
    let own = ops::arange::<_, i32>(queries.start, queries.end, None)?.expand_dims(1)?;
    let at = ops::arange::<_, i32>(first, queries.end, None)?;
    let seen = own.ge(&at)?;
    match reach.firsts(&own)? {
        Some(first) => seen.logical_and(at.ge(first)?),
        None => Ok(seen),
    }
}

/// Scores with what is not seen at the least number.
pub(super) fn where_seen(mask: &Array, scores: &Array) -> Result<Array> {
    let least = match scores.dtype() {
        Dtype::Float16 => -65504.0,
        Dtype::Bfloat16 => -3.3e38,
        _ => f32::MIN,
    };
    let least = Array::from_f32(least).as_dtype(scores.dtype())?;
    ops::select(mask, scores, least)
}
