//! Grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245): several query heads share a head of keys and values.

use mlx_rs::error::Result as Done;
use mlx_rs::{Array, ops};

use super::block::{BlockParts, Mixer, Onto};
use super::placing::Placing;
use super::{Joined, Linear, Reach, Scoring, StepLayer, Stored, Temperature, attend};
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
    pub(crate) values: Values,
    pub(crate) stored: Stored,
    /// Which of the ropes rotates queries and keys, if any.
    pub(crate) rope: Option<usize>,
    /// Multiplies the scores; the root of `head_dim` divides them if there is none.
    pub(crate) scale: Option<f32>,
    pub(crate) reach: Reach,
    /// Whether each head has a sink.
    pub(crate) sinks: bool,
    pub(crate) gate: OutputGate,
    /// How late queries are scaled.
    pub(crate) temperature: Option<Temperature>,
    /// Where beside the hidden state its keys and values go, for later layers.
    pub(crate) hands_on: Option<i32>,
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
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) enum QueryKeyNorms {
    #[default]
    None,
    /// Head by head, `q_norm` and `k_norm`.
    Heads,
    /// Head by head, without weights.
    Bare { eps: f32 },
    /// All heads together, by the same names.
    Together,
}

/// What is attended to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Values {
    /// What a matrix of their own makes.
    #[default]
    Own,
    /// The same, normalized head by head without weights.
    Normed,
    /// What the keys' matrix makes, so normalized; there is none for values.
    OfKeys,
}

impl GroupedShape {
    /// Elements of all query heads.
    pub(crate) fn width(&self) -> i32 {
        self.heads * self.head_dim
    }

    /// Multiplies the scores.
    pub(super) fn score_scale(&self) -> f32 {
        let usual = || (self.head_dim as f32).powf(-0.5);
        self.scale.unwrap_or_else(usual)
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
    inputs: Inputs,
    output: Linear,
    placing: Placing,
    gate: OutputGate,
    temperature: Option<Temperature>,
    hands_on: Option<i32>,
    scoring: Scoring,
    heads: i32,
    head_dim: i32,
}

/// The matrices that make queries, keys and values.
#[derive(Debug)]
enum Inputs {
    Three(Joined<3>),
    /// Values come of the keys' one.
    Two(Joined<2>),
}

impl GroupedAttention {
    pub(crate) fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: &GroupedShape,
    ) -> Result<Self, LoadError> {
        let (hidden, width, columns) = (parts.hidden, shape.width(), parts.columns());
        let inputs = Inputs::load(parts, name, shape)?;
        let output = parts
            .part(name, shape.output_bias)
            .linear("o_proj", hidden, width, columns)?;
        let placing = Placing::load(parts, name, shape)?;
        let sinks = shape.sinks.then(|| {
            let name = parts.path(&format!("{name}.sinks"));
            let along = parts.rows().along(0, 0);
            parts.weights.take(&name, &[shape.heads], along)
        });
        Ok(Self {
            inputs,
            output,
            placing,
            gate: shape.gate,
            temperature: shape.temperature,
            hands_on: shape.hands_on,
            scoring: Scoring {
                scale: shape.score_scale(),
                reach: shape.reach,
                sinks: sinks.transpose()?,
            },
            heads: parts.share(shape.heads),
            head_dim: shape.head_dim,
        })
    }
}

impl GroupedAttention {
    /// Queries, keys and values, one after the other, and what opens the gate for what comes out, `[tokens, heads * head_dim]`.
    fn without_gate(&self, all: Array) -> Done<(Array, Option<Array>)> {
        if self.gate == OutputGate::None {
            return Ok((all, None));
        }
        let (width, both) = (self.heads * self.head_dim, 2 * self.head_dim);
        let gated = slice(&all, &[(1, 0..2 * width)])?.reshape(&[-1, self.heads, both])?;
        let half = |range| slice(&gated, &[(2, range)])?.reshape(&[-1, width]);
        let (queries, gate) = (half(0..self.head_dim)?, half(self.head_dim..both)?);
        let others = slice(&all, &[(1, 2 * width..all.dim(1))])?;
        Ok((ops::concatenate(&[queries, others], 1)?, Some(gate)))
    }
}

impl Mixer for GroupedAttention {
    fn forward(&self, x: &Array, onto: Onto<'_>, cache: &mut StepLayer<'_>) -> Computed {
        let (all, gate) = self.without_gate(self.inputs.together(x)?)?;
        let (mut q, keys_values) = self.placing.placed(&all, cache)?;
        if let Some(temperature) = &self.temperature {
            q = temperature.applied(q, cache)?;
        }
        if let Some(column) = self.hands_on {
            cache.put_beside(column, &keys_values)?;
        }
        cache.write(&[keys_values])?;
        let attended = attend(&q, &self.scoring, cache)?;
        let attended = attended.reshape(&[-1, self.heads * self.head_dim])?;
        let attended = match gate {
            Some(gate) => attended.multiply(ops::sigmoid(gate)?)?,
            None => attended,
        };
        self.output.forward_onto(&attended, onto)
    }
}

impl Inputs {
    fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: &GroupedShape,
    ) -> Result<Self, LoadError> {
        let (hidden, rows) = (parts.hidden, parts.rows());
        let names = [
            ("q_proj", shape.query_rows()),
            ("k_proj", shape.kv_width()),
            ("v_proj", shape.kv_width()),
        ];
        let mut matrices = parts.part(name, shape.bias);
        let matrices = &mut matrices;
        if shape.values == Values::OfKeys {
            let [q, k, _] = names;
            return Joined::load(matrices, [q, k], hidden, rows).map(Self::Two);
        }
        let three = match shape.stored {
            Stored::Apart => Joined::load(matrices, names, hidden, rows)?,
            Stored::Together => {
                let outputs = names.map(|(_, outputs)| outputs);
                Joined::load_together(matrices, "qkv_proj", outputs, hidden, rows)?
            }
        };
        Ok(Self::Three(three))
    }

    /// `[tokens, hidden]` to what all of them say, one after the other.
    fn together(&self, x: &Array) -> Computed {
        match self {
            Self::Three(joined) => joined.together(x),
            Self::Two(joined) => joined.together(x),
        }
    }
}
