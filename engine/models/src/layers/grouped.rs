//! Grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245): several query heads share a head of keys and values.

use std::rc::Rc;

use mlx_rs::error::Result;
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
    pub(crate) gate: OutputGate,
}

/// What is done to what comes out of each head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OutputGate {
    #[default]
    None,
    /// A gate, which lies beside the head's queries, opens for some of it (Qiu et al. 2025, arXiv 2505.06708).
    BesideQueries,
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

    /// Rows of the matrix for queries.
    fn query_rows(&self) -> i32 {
        match self.gate {
            OutputGate::None => self.width(),
            OutputGate::BesideQueries => 2 * self.width(),
        }
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
    norms: Option<[RmsNorm; 2]>,
    norms_together: bool,
    gate: OutputGate,
    rope: Option<Rc<Rope>>,
    scoring: Scoring,
    heads: i32,
    kv_heads: i32,
    head_dim: i32,
}

impl GroupedAttention {
    pub(crate) fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: &GroupedShape,
    ) -> std::result::Result<Self, LoadError> {
        let (width, kv_width) = (shape.width(), shape.kv_width());
        let (hidden, rows, columns) = (parts.hidden, parts.rows(), parts.columns());
        let names = [
            ("q_proj", shape.query_rows()),
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
        let mut norms = |widths: [i32; 2]| -> std::result::Result<_, LoadError> {
            let q = parts.norm_of(&format!("{name}.q_norm"), widths[0])?;
            Ok([q, parts.norm_of(&format!("{name}.k_norm"), widths[1])?])
        };
        let norms = match shape.norms {
            QueryKeyNorms::None => None,
            QueryKeyNorms::Heads => Some(norms([shape.head_dim; 2])?),
            QueryKeyNorms::Together => Some(norms([width, kv_width])?),
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
            norms_together: shape.norms == QueryKeyNorms::Together,
            gate: shape.gate,
            rope: shape.rope.map(|which| Rc::clone(&parts.ropes[which])),
            scoring: Scoring {
                scale,
                window: shape.window,
                sinks: sinks.transpose()?,
            },
            heads: parts.share(shape.heads),
            kv_heads: parts.share(shape.kv_heads),
            head_dim: shape.head_dim,
        })
    }

    /// `[tokens, heads * head_dim]` to `[tokens, heads, 1, head_dim]`, normalized and rotated: each token is a batch of its
    /// own, so that each is rotated by its own position.
    fn placed(&self, x: &Array, heads: i32, which: usize, cache: &StepLayer<'_>) -> Computed {
        let in_heads = [-1, heads, 1, self.head_dim];
        let norm = self.norms.as_ref().map(|norms| &norms[which]);
        let x = match norm {
            Some(norm) if self.norms_together => norm.forward(x)?.reshape(&in_heads)?,
            Some(norm) => norm.forward(&x.reshape(&in_heads)?)?,
            None => x.reshape(&in_heads)?,
        };
        match &self.rope {
            Some(rope) => rope.rotate(&x, cache.positions()),
            None => Ok(x),
        }
    }
}

impl GroupedAttention {
    /// Queries, and what opens the gate for what comes out, `[tokens, heads * head_dim]` each.
    fn without_gate(&self, q: Array) -> Result<(Array, Option<Array>)> {
        if self.gate == OutputGate::None {
            return Ok((q, None));
        }
        let both = q.reshape(&[-1, self.heads, 2 * self.head_dim])?;
        let half = |from: i32| {
            let half = slice(&both, &[(2, from..from + self.head_dim)])?;
            half.reshape(&[-1, self.heads * self.head_dim])
        };
        Ok((half(0)?, Some(half(self.head_dim)?)))
    }
}

impl Mixer for GroupedAttention {
    fn forward(&self, x: &Array, cache: &mut StepLayer<'_>) -> Computed {
        let [q, k, v] = self.qkv.forward(x)?;
        let (q, gate) = self.without_gate(q)?;
        let q = self.placed(&q, self.heads, 0, cache)?;
        let k = self.placed(&k, self.kv_heads, 1, cache)?;
        let v = v.reshape(&[-1, self.kv_heads, 1, self.head_dim])?;
        cache.write(&k, &v)?;
        let attended = attend(&q, &self.scoring, cache)?;
        let attended = attended.reshape(&[-1, self.heads * self.head_dim])?;
        match gate {
            Some(gate) => self
                .output
                .forward(&attended.multiply(ops::sigmoid(gate)?)?),
            None => self.output.forward(&attended),
        }
    }
}
