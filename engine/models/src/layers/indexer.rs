//! DeepSeek's indexer (DeepSeek-V3.2-Exp 2025): which of the positions before it a query attends to. Small heads of its own
//! score them all, and the best few are taken.

use std::rc::Rc;

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype, ops};

use super::attention::where_seen;
use super::block::BlockParts;
use super::norm::LayerNorm;
use super::{Linear, Rope, Run};
use crate::error::LoadError;
use crate::family::Computed;
use crate::ops::slice;

/// Of the norm of its keys.
const KEY_EPS: f32 = 1e-5;

/// What it looks like. Every rank has all of it, so that all choose alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexerShape {
    pub(crate) heads: i32,
    pub(crate) head_dim: i32,
    /// So many positions a query attends to.
    pub(crate) count: i32,
    /// Which of the ropes rotates the first elements of its queries and keys.
    pub(crate) rope: usize,
}

/// The indexer of one layer.
#[derive(Debug)]
pub(super) struct Indexer {
    queries: Linear,
    keys: Linear,
    key_norm: LayerNorm,
    weights: Linear,
    rope: Rc<Rope>,
    shape: IndexerShape,
}

/// What tokens look for: queries `[tokens, heads, 1, head_dim]`, and how much each head counts, `[tokens, heads, 1, 1]`.
pub(super) struct Sought {
    queries: Array,
    weights: Array,
}

impl Indexer {
    /// Queries are made of `fewer` elements.
    pub(super) fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: IndexerShape,
        fewer: i32,
    ) -> std::result::Result<Self, LoadError> {
        let IndexerShape {
            heads,
            head_dim,
            rope,
            ..
        } = shape;
        let hidden = parts.hidden;
        let mut whole = |part: &str, size| parts.whole(&format!("{name}.{part}"), size, false);
        Ok(Self {
            queries: whole("wq_b", [heads * head_dim, fewer])?,
            keys: whole("wk", [head_dim, hidden])?,
            weights: whole("weights_proj", [heads, hidden])?,
            key_norm: LayerNorm::load(
                parts.weights,
                &parts.path(&format!("{name}.k_norm")),
                head_dim,
                KEY_EPS,
            )?,
            rope: Rc::clone(&parts.ropes[rope]),
            shape,
        })
    }

    /// Keys of `[tokens, hidden]`, to be kept: `[tokens, 1, 1, head_dim]`.
    pub(super) fn keys(&self, x: &Array, positions: &Array) -> Computed {
        let keys = self.key_norm.forward(&self.keys.forward(x)?)?;
        let keys = keys.reshape(&[-1, 1, 1, self.shape.head_dim])?;
        self.rope.rotate(&keys, positions)
    }

    /// What the tokens look for, by `[tokens, hidden]` and the fewer elements that their queries are made of.
    pub(super) fn sought(&self, x: &Array, fewer: &Array, positions: &Array) -> Result<Sought> {
        let IndexerShape {
            heads, head_dim, ..
        } = self.shape;
        let queries = self.queries.forward(fewer)?;
        let queries = queries.reshape(&[-1, heads, 1, head_dim])?;
        let scale = ((heads * head_dim) as f32).powf(-0.5);
        let weights = self.weights.forward(x)?;
        let weights = weights.multiply(Array::from_f32(scale).as_dtype(weights.dtype())?)?;
        Ok(Sought {
            queries: self.rope.rotate(&queries, positions)?,
            weights: weights.reshape(&[-1, heads, 1, 1])?,
        })
    }

    /// Whether there are more positions than are attended to.
    pub(super) fn chooses(&self, positions: i32) -> bool {
        positions > self.shape.count
    }

    /// Of the positions that `mask` lets queries see, `[.., queries, positions]`, those that are attended to. `held
    /// [sequences, 1, positions, ..]` ends with the keys.
    pub(super) fn choose(
        &self,
        sought: &Sought,
        held: &Array,
        mask: Option<Array>,
    ) -> Result<Option<Array>> {
        let (positions, width) = (held.dim(2), held.dim(3));
        if !self.chooses(positions) {
            return Ok(mask);
        }
        let keys = slice(held, &[(3, width - self.shape.head_dim..width)])?;
        let scores = ops::matmul(&sought.queries, keys.swap_axes(-1, -2)?)?;
        let nothing = Array::from_f32(0.0).as_dtype(scores.dtype())?;
        let scores = ops::maximum(&scores, nothing)?.multiply(&sought.weights)?;
        let mut scores = scores.sum_axis(1, true)?;
        if let Some(mask) = &mask {
            scores = where_seen(mask, &scores)?;
        }
        let first = positions - self.shape.count;
        let best = ops::argpartition_axis(&scores, first, -1)?;
        let best = slice(&best, &[(3, first..positions)])?;
        let none = ops::zeros_dtype(scores.shape(), Dtype::Bool)?;
        let chosen = none.put_along_axis(best, Array::from_bool(true), -1)?;
        match mask {
            Some(mask) => chosen.logical_and(mask).map(Some),
            None => Ok(Some(chosen)),
        }
    }
}

impl Sought {
    /// A run's: of several sequences `[tokens, heads, 1, ..]`, of one `[1, heads, tokens, ..]`.
    pub(super) fn of_run(&self, run: &Run) -> Result<Self> {
        self.mapped(|all| {
            let own = slice(all, &[(0, run.tokens.clone())])?;
            if run.is_sequence() {
                own.transpose_axes(&[2, 1, 0, 3])
            } else {
                Ok(own)
            }
        })
    }

    /// Some of the queries of a sequence.
    pub(super) fn between(&self, first: i32, next: i32) -> Result<Self> {
        self.mapped(|all| slice(all, &[(2, first..next)]))
    }

    fn mapped(&self, map: impl Fn(&Array) -> Computed) -> Result<Self> {
        Ok(Self {
            queries: map(&self.queries)?,
            weights: map(&self.weights)?,
        })
    }
}
