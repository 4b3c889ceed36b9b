//! Attention to the keys and values of a layer before it (Brandon et al. 2024, arXiv 2405.12981).
//!
//! A rank that has that layer has them in its cache. Another keeps its own copy: they come with each token beside the hidden
//! state, and the first of its layers that attends to them takes them in.

use std::rc::Rc;

use mlx_rs::Array;

use super::block::{BlockParts, Mixer, Onto};
use super::{GroupedShape, Linear, RmsNorm, Rope, Scoring, StepLayer, attend};
use crate::error::LoadError;
use crate::family::Computed;

/// Queries, and a matrix for what comes out.
#[derive(Debug)]
pub(crate) struct SharedAttention {
    queries: Linear,
    norm: RmsNorm,
    output: Linear,
    rope: Option<Rc<Rope>>,
    scoring: Scoring,
    heads: i32,
    head_dim: i32,
    kv_heads: i32,
    /// Where keys and values come from, if not from the cache.
    taken_from: Option<i32>,
}

impl SharedAttention {
    /// With queries that are normalized head by head. `column` is where keys and values lie beside the hidden state.
    pub(crate) fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: &GroupedShape,
        column: i32,
    ) -> Result<Self, LoadError> {
        let (hidden, width) = (parts.hidden, shape.width());
        let (rows, columns) = (parts.rows(), parts.columns());
        let mut matrices = parts.part(name, shape.bias);
        let queries = matrices.linear("q_proj", width, hidden, rows)?;
        let output = matrices.linear("o_proj", hidden, width, columns)?;
        Ok(Self {
            queries,
            norm: parts.norm_of(&format!("{name}.q_norm"), shape.head_dim)?,
            output,
            rope: shape.rope.map(|which| Rc::clone(&parts.ropes[which])),
            scoring: Scoring {
                scale: shape.score_scale(),
                reach: shape.reach,
                sinks: None,
            },
            heads: parts.share(shape.heads),
            head_dim: shape.head_dim,
            kv_heads: parts.share(shape.kv_heads),
            taken_from: parts.begins_cache.then_some(column),
        })
    }

    fn take_in(&self, column: i32, cache: &mut StepLayer<'_>) -> mlx_rs::error::Result<()> {
        let width = self.kv_heads * self.head_dim;
        let both = cache.beside(column..column + 2 * width)?;
        let both = both.reshape(&[-1, 2, self.kv_heads, 1, self.head_dim])?;
        cache.write(&[both])
    }
}

impl Mixer for SharedAttention {
    fn forward(&self, x: &Array, onto: Onto<'_>, cache: &mut StepLayer<'_>) -> Computed {
        if let Some(column) = self.taken_from {
            self.take_in(column, cache)?;
        }
        let in_heads = [-1, self.heads, 1, self.head_dim];
        let q = self.queries.forward(x)?.reshape(&in_heads)?;
        let mut q = self.norm.forward(&q)?;
        if let Some(rope) = &self.rope {
            q = rope.rotate(&q, cache)?;
        }
        let attended = attend(&q, &self.scoring, cache)?;
        let attended = attended.reshape(&[-1, self.heads * self.head_dim])?;
        self.output.forward_onto(&attended, onto)
    }
}
