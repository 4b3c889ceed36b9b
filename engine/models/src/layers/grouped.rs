//! Grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245): several query heads share a head of keys and values.

use std::rc::Rc;

use mlx_rs::error::Exception;
use mlx_rs::{Array, ops};

use super::block::{BlockParts, Mixer};
use super::norm_across::NormsAcross;
use super::{
    Joined, Linear, Reach, RmsNorm, Rope, Scoring, StepLayer, Stored, Temperature, attend,
};
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
    norms: Norms,
    value_norm: Option<RmsNorm>,
    gate: OutputGate,
    rope: Option<Rc<Rope>>,
    temperature: Option<Temperature>,
    hands_on: Option<i32>,
    scoring: Scoring,
    heads: i32,
    kv_heads: i32,
    head_dim: i32,
}

/// The matrices that make queries, keys and values.
#[derive(Debug)]
enum Inputs {
    Three(Joined<3>),
    /// Values come of the keys' one.
    Two(Joined<2>),
}

/// Of queries and keys.
#[derive(Debug)]
enum Norms {
    None,
    Heads([RmsNorm; 2]),
    Across(NormsAcross),
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
        let norms = Norms::load(parts, name, shape)?;
        let sinks = shape.sinks.then(|| {
            let name = parts.path(&format!("{name}.sinks"));
            let along = parts.rows().along(0, 0);
            parts.weights.take(&name, &[shape.heads], along)
        });
        Ok(Self {
            inputs,
            output,
            norms,
            value_norm: (shape.values != Values::Own).then(|| RmsNorm::bare(parts.norms.eps)),
            gate: shape.gate,
            rope: shape.rope.map(|which| Rc::clone(&parts.ropes[which])),
            temperature: shape.temperature,
            hands_on: shape.hands_on,
            scoring: Scoring {
                scale: shape.score_scale(),
                reach: shape.reach,
                sinks: sinks.transpose()?,
            },
            heads: parts.share(shape.heads),
            kv_heads: parts.share(shape.kv_heads),
            head_dim: shape.head_dim,
        })
    }

    /// Queries and keys, `[tokens, heads * head_dim]` to `[tokens, heads, 1, head_dim]`, normalized and rotated: each token
    /// is a batch of its own, so that each is rotated by its own position.
    fn placed(&self, both: [Array; 2], cache: &StepLayer<'_>) -> Result<[Array; 2], Exception> {
        let [q, k] = match &self.norms {
            Norms::Across(norms) => norms.forward(both.each_ref())?,
            Norms::None | Norms::Heads(_) => both,
        };
        let placed = |x: &Array, heads: i32, which: usize| {
            let mut x = x.reshape(&[-1, heads, 1, self.head_dim])?;
            if let Norms::Heads(norms) = &self.norms {
                x = norms[which].forward(&x)?;
            }
            match &self.rope {
                Some(rope) => rope.rotate(&x, cache.positions()),
                None => Ok(x),
            }
        };
        Ok([placed(&q, self.heads, 0)?, placed(&k, self.kv_heads, 1)?])
    }
}

impl GroupedAttention {
    /// Queries, and what opens the gate for what comes out, `[tokens, heads * head_dim]` each.
    fn without_gate(&self, q: Array) -> Result<(Array, Option<Array>), Exception> {
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
        let [q, k, v] = self.inputs.forward(x)?;
        let (q, gate) = self.without_gate(q)?;
        let [q, k] = self.placed([q, k], cache)?;
        let mut v = v.reshape(&[-1, self.kv_heads, 1, self.head_dim])?;
        if let Some(norm) = &self.value_norm {
            v = norm.forward(&v)?;
        }
        let q = match &self.temperature {
            Some(temperature) => temperature.applied(q, cache)?,
            None => q,
        };
        cache.write(&k, &v)?;
        if let Some(column) = self.hands_on {
            cache.put_beside(column, [&k, &v])?;
        }
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

    /// `[tokens, hidden]` to `[tokens, heads * head_dim]` of each.
    fn forward(&self, x: &Array) -> Result<[Array; 3], Exception> {
        match self {
            Self::Three(joined) => joined.forward(x),
            Self::Two(joined) => {
                let [q, k] = joined.forward(x)?;
                Ok([q, k.clone(), k])
            }
        }
    }
}

impl Norms {
    fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: &GroupedShape,
    ) -> Result<Self, LoadError> {
        let [q, k] = ["q_norm", "k_norm"].map(|norm| format!("{name}.{norm}"));
        Ok(match shape.norms {
            QueryKeyNorms::None => Self::None,
            QueryKeyNorms::Bare { eps } => Self::Heads([RmsNorm::bare(eps), RmsNorm::bare(eps)]),
            QueryKeyNorms::Heads => {
                let width = shape.head_dim;
                Self::Heads([parts.norm_of(&q, width)?, parts.norm_of(&k, width)?])
            }
            QueryKeyNorms::Together => {
                let widths = [shape.width(), shape.kv_width()];
                Self::Across(NormsAcross::load(parts, [&q, &k], widths)?)
            }
        })
    }
}
