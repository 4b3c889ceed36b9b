//! Grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245): several query heads share a head of keys and values.

use std::rc::Rc;

use mlx_rs::error::Result as Done;
use mlx_rs::{Array, ops};

use super::block::{BlockParts, Mixer};
use super::{Joined, Linear, RmsNorm, Rope, Scoring, StepLayer, Stored, attend};
use crate::error::LoadError;
use crate::family::Computed;
use crate::ops::slice;

/// What an attention part looks like.
#[derive(Debug, Clone, Default)]
pub(crate) struct GroupedShape {
    /// Query heads, of all ranks.
    pub(crate) heads: i32,
    /// Key and value heads, a divisor of `heads`.
    pub(crate) kv_heads: i32,
    /// Elements of a head.
    pub(crate) head_dim: i32,
    /// Whether queries, keys and values have biases.
    pub(crate) bias: bool,
    /// Whether what comes out has one.
    pub(crate) output_bias: bool,
    pub(crate) norms: QueryKeyNorms,
    pub(crate) stored: Stored,
    /// Which of the ropes rotates queries and keys, if any.
    pub(crate) rope: Option<usize>,
    /// Multiplies the scores; the root of `head_dim` divides them if there is none.
    pub(crate) scale: Option<f32>,
    /// Positions that a query sees.
    pub(crate) window: Option<i32>,
    /// Whether each head has a sink.
    pub(crate) sinks: bool,
}

/// How queries and keys are normalized before they are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum QueryKeyNorms {
    #[default]
    None,
    /// Head by head, `q_norm` and `k_norm`.
    Heads,
    /// All heads together, by the same names. Only where one rank has all heads.
    Together,
}

impl GroupedShape {
    /// Elements of all query heads.
    pub(crate) fn width(&self) -> i32 {
        self.heads * self.head_dim
    }

    /// Elements of all key heads.
    pub(crate) fn kv_width(&self) -> i32 {
        self.kv_heads * self.head_dim
    }
}

/// Queries, keys, values, attention, and a matrix for what comes out.
#[derive(Debug)]
pub(crate) struct GroupedAttention {
    qkv: Joined<3>,
    output: Linear,
    norms: Norms,
    rope: Option<Rc<Rope>>,
    scoring: Scoring,
    heads: i32,
    kv_heads: i32,
    head_dim: i32,
}

/// Of queries and keys.
#[derive(Debug)]
enum Norms {
    None,
    /// Of each head, with the weights of each.
    Heads(RmsNorm),
    /// Of all queries, and of all keys.
    Together([RmsNorm; 2]),
}

impl GroupedAttention {
    pub(crate) fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: &GroupedShape,
    ) -> Result<Self, LoadError> {
        let (width, kv_width) = (shape.width(), shape.kv_width());
        let (hidden, rows, columns) = (parts.hidden, parts.rows(), parts.columns());
        let names = [
            ("q_proj", width),
            ("k_proj", kv_width),
            ("v_proj", kv_width),
        ];
        let mut matrices = parts.part(name, shape.bias);
        let qkv = match shape.stored {
            Stored::Apart => Joined::load(&mut matrices, names, hidden, rows)?,
            Stored::Together => {
                let outputs = names.map(|(_, outputs)| outputs);
                Joined::load_together(&mut matrices, "qkv_proj", outputs, hidden)?
            }
        };
        let output = parts
            .part(name, shape.output_bias)
            .linear("o_proj", hidden, width, columns)?;
        let (heads, kv_heads) = (parts.share(shape.heads), parts.share(shape.kv_heads));
        let mut norms = |widths: [i32; 2]| -> Result<_, LoadError> {
            let q = parts.norm_of(&format!("{name}.q_norm"), widths[0])?;
            Ok([q, parts.norm_of(&format!("{name}.k_norm"), widths[1])?])
        };
        let norms = match shape.norms {
            QueryKeyNorms::None => Norms::None,
            QueryKeyNorms::Heads => {
                let [q, k] = norms([shape.head_dim; 2])?;
                Norms::Heads(RmsNorm::of_heads(&[(q, heads), (k, kv_heads)])?)
            }
            QueryKeyNorms::Together => Norms::Together(norms([width, kv_width])?),
        };
        let sinks = shape.sinks.then(|| {
            let name = parts.path(&format!("{name}.sinks"));
            let along = rows.along(0, 0);
            parts.weights.take(&name, &[shape.heads], along)
        });
        let scale = shape
            .scale
            .unwrap_or_else(|| (shape.head_dim as f32).powf(-0.5));
        Ok(Self {
            qkv,
            output,
            norms,
            rope: shape.rope.map(|which| Rc::clone(&parts.ropes[which])),
            scoring: Scoring {
                scale,
                window: shape.window,
                sinks: sinks.transpose()?,
            },
            heads,
            kv_heads,
            head_dim: shape.head_dim,
        })
    }

    /// Queries and keys, normalized and rotated, and values: of `[tokens, (heads + 2 kv_heads) * head_dim]` the
    /// `[tokens, heads, 1, head_dim]` of each. Each token is a batch of its own, so that each is rotated by its own position.
    fn placed(&self, all: &Array, cache: &StepLayer<'_>) -> Done<[Array; 3]> {
        let rotated = self.heads + self.kv_heads;
        let in_heads = |x: &Array| x.reshape(&[x.dim(0), -1, 1, self.head_dim]);
        let some = |x: &Array, range| slice(x, &[(1, range)]);
        let values = some(&in_heads(all)?, rotated..rotated + self.kv_heads)?;
        let mut both = match &self.norms {
            Norms::None => some(&in_heads(all)?, 0..rotated)?,
            Norms::Heads(norm) => norm.forward(&some(&in_heads(all)?, 0..rotated)?)?,
            Norms::Together([q, k]) => {
                let (width, end) = (self.heads * self.head_dim, rotated * self.head_dim);
                let q = q.forward(&some(all, 0..width)?)?;
                let k = k.forward(&some(all, width..end)?)?;
                in_heads(&ops::concatenate(&[q, k], 1)?)?
            }
        };
        if let Some(rope) = &self.rope {
            both = rope.rotate(&both, cache)?;
        }
        let queries = some(&both, 0..self.heads)?;
        Ok([queries, some(&both, self.heads..rotated)?, values])
    }
}

impl Mixer for GroupedAttention {
    fn forward(&self, x: &Array, cache: &mut StepLayer<'_>) -> Computed {
        let [q, k, v] = self.placed(&self.qkv.together(x)?, cache)?;
        cache.write(&k, &v)?;
        let attended = attend(&q, &self.scoring, cache)?;
        self.output
            .forward(&attended.reshape(&[-1, self.heads * self.head_dim])?)
    }
}
