//! Causal attention of the tokens of a step, each over its own sequence.

use std::ops::Range;

use mlx_rs::error::Result;
use mlx_rs::fast::{ScaledDotProductAttentionMask, scaled_dot_product_attention};
use mlx_rs::{Array, Dtype, ops};

use super::{Quantized, Reach, Run, StepLayer};
use crate::load::Quantization;
use crate::ops::{kernels, quantized, slice};

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

/// Keys and values of a sequence, `[1, heads, positions, dimensions]` each.
struct Known {
    keys: Array,
    values: Array,
    /// Of the sequence's positions, the first that there is.
    first: i32,
}

impl Scoring {
    /// A run's part of the queries.
    fn of_run(&self, q: &Array, run: &Run, cache: &StepLayer<'_>) -> Result<Array> {
        let q = slice(q, &[(0, run.tokens.clone())])?;
        let packing = cache.packing();
        if let Some(how) = packing.filter(|_| !run.is_sequence()) {
            let both = packed(cache.read(run)?, how);
            return self.of_packed(&q, &both, run);
        }
        if !run.is_sequence() {
            let [keys, values] = cache.read(run)?;
            let places = keys.dim(2);
            let mask = run.mask(self.reach, places);
            // Queries at the same position need no mask where they see only what is given.
            let first = match &mask {
                None => self.reach.first(places - 1),
                Some(_) => 0,
            };
            let (keys, values) = (since(&keys, first)?, since(&values, first)?);
            return self.masked(&q, &keys, &values, mask.as_ref());
        }
        let q = q.transpose_axes(&[2, 1, 0, 3])?;
        let first = self.reach.first(run.start());
        let [keys, values] = match packing {
            None => cache.read_since(run, first)?,
            Some(how) => {
                let [keys, values] = packed(cache.read_since(run, first)?, how);
                [
                    quantized::dequantize(&keys)?,
                    quantized::dequantize(&values)?,
                ]
            }
        };
        let known = Known {
            keys,
            values,
            first,
        };
        let attended = self.sequence(&q, &known)?;
        attended.transpose_axes(&[2, 1, 0, 3])
    }

    /// Queries of one token of each of several sequences, `[sequences, heads, 1, head_dim]`, over keys and values as they are
    /// packed. Numerics follow mlx-lm's `quantized_scaled_dot_product_attention`.
    fn of_packed(&self, q: &Array, [keys, values]: &[Quantized; 2], run: &Run) -> Result<Array> {
        let (sequences, heads, head_dim) = (q.dim(0), q.dim(1), q.dim(3));
        let (kv_heads, places) = (keys.packed.dim(1), keys.packed.dim(2));
        let scale = Array::from_f32(self.scale).as_dtype(q.dtype())?;
        // The heads that share keys are rows of one matrix.
        let q = q
            .multiply(scale)?
            .reshape(&[sequences, kv_heads, -1, head_dim])?;
        let mut scores = quantized::matmul(&q, keys, true)?;
        if let Some(mask) = run.mask(self.reach, places) {
            scores = where_seen(&mask, &scores)?;
        }
        let weights = match &self.sinks {
            None => ops::softmax_axis(&scores, -1, true)?,
            Some(sinks) => {
                let sinks = sinks
                    .as_dtype(scores.dtype())?
                    .reshape(&[1, kv_heads, -1, 1])?;
                let sinks = ops::broadcast_to(&sinks, &[sequences, kv_heads, scores.dim(2), 1])?;
                let all = ops::concatenate(&[&scores, &sinks], -1)?;
                slice(&ops::softmax_axis(&all, -1, true)?, &[(3, 0..places)])?
            }
        };
        let attended = quantized::matmul(&weights, values, false)?;
        attended.reshape(&[sequences, heads, 1, -1])
    }

    /// Queries of the last positions of what is known, `[1, heads, queries, head_dim]`.
    fn sequence(&self, q: &Array, known: &Known) -> Result<Array> {
        let (count, end) = (q.dim(2), known.end());
        let block = queries_together(count);
        if count <= block {
            return self.block(q, known);
        }
        let blocks = (0..count).step_by(block as usize).map(|first| {
            let next = (first + block).min(count);
            let q = slice(q, &[(2, first..next)])?;
            // What the first of them sees and all after it.
            let seen = self.reach.first(end - count + first)..end - count + next;
            self.block(&q, &known.part(seen)?)
        });
        ops::concatenate(&blocks.collect::<Result<Vec<Array>>>()?, 2)
    }

    /// The same at once, of which the first sees all.
    fn block(&self, q: &Array, known: &Known) -> Result<Array> {
        let (count, end) = (q.dim(2), known.end());
        let Known {
            keys,
            values,
            first,
        } = known;
        if self.reach.first(end - 1) == *first {
            let mask = ScaledDotProductAttentionMask::Causal;
            return self.attention(q, keys, values, Some(mask));
        }
        let mask = causal_mask(end - count..end, *first, self.reach)?;
        self.masked(q, keys, values, Some(&mask))
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

/// Keys and values of what a cache gives of both.
fn packed(
    [
        keys,
        values,
        key_scales,
        value_scales,
        key_biases,
        value_biases,
    ]: [Array; 6],
    how: Quantization,
) -> [Quantized; 2] {
    let both = [
        (keys, key_scales, key_biases),
        (values, value_scales, value_biases),
    ];
    both.map(|(packed, scales, biases)| Quantized {
        packed,
        scales,
        biases: Some(biases),
        how,
    })
}

impl Known {
    /// The position after the last.
    fn end(&self) -> i32 {
        self.first + self.keys.dim(2)
    }

    /// Some of its positions.
    fn part(&self, positions: Range<i32>) -> Result<Self> {
        let places = [(2, positions.start - self.first..positions.end - self.first)];
        Ok(Self {
            keys: slice(&self.keys, &places)?,
            values: slice(&self.values, &places)?,
            first: positions.start,
        })
    }
}

/// The places from `first` on.
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
