//! What is done to queries, keys and values before attention sees them: norms, and the rotation by their positions.

use std::rc::Rc;

use mlx_rs::error::Result as Done;
use mlx_rs::{Array, ops};

use super::block::BlockParts;
use super::norm_across::NormsAcross;
use super::rope::turn;
use super::{GroupedShape, QueryKeyNorms, RmsNorm, Rope, StepLayer, Values};
use crate::error::LoadError;
use crate::family::Computed;
use crate::ops::fused::fused;
use crate::ops::slice;

/// Of one layer.
#[derive(Debug)]
pub(super) struct Placing {
    way: Way,
    /// Of this rank.
    heads: i32,
    kv_heads: i32,
    head_dim: i32,
}

#[derive(Debug)]
enum Way {
    /// What the matrices say is what is seen.
    Nothing,
    AtOnce(AtOnce),
    InSteps(InSteps),
}

/// Norms head by head and rotation of whole heads, in one operation after the norms' own: values pass it as they are.
#[derive(Debug)]
struct AtOnce {
    norm: Option<HeadNorm>,
    rope: Rc<Rope>,
    /// Which heads are values, `[heads, 1, 1]`.
    is_value: Array,
}

#[derive(Debug)]
struct HeadNorm {
    bare: RmsNorm,
    /// If it has weights, of the first of each pair that turns together, and of the second.
    weights: Option<[Array; 2]>,
}

/// One after the other.
#[derive(Debug)]
struct InSteps {
    norms: Norms,
    value_norm: Option<RmsNorm>,
    rope: Option<Rc<Rope>>,
    /// Which of the heads values come from.
    first_value: i32,
}

/// Of queries and keys.
#[derive(Debug)]
enum Norms {
    None,
    /// Of each head, with the weights of each if there are any.
    Heads(RmsNorm),
    Across(NormsAcross),
}

impl Placing {
    pub(super) fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: &GroupedShape,
    ) -> Result<Self, LoadError> {
        let (heads, kv_heads) = (parts.share(shape.heads), parts.share(shape.kv_heads));
        let rope = shape.rope.map(|which| Rc::clone(&parts.ropes[which]));
        let norms = Norms::load(parts, name, shape)?;
        let way = match (norms, rope) {
            (Norms::None, None) if shape.values == Values::Own => Way::Nothing,
            (Norms::None, Some(rope)) if shape.turns_at_once(&rope) => {
                Way::AtOnce(AtOnce::new(None, rope, [heads, kv_heads]))
            }
            (Norms::Heads(norm), Some(rope)) if shape.turns_at_once(&rope) => {
                let norm = HeadNorm::new(&norm, &rope, kv_heads)?;
                Way::AtOnce(AtOnce::new(Some(norm), rope, [heads, kv_heads]))
            }
            (norms, rope) => Way::InSteps(InSteps {
                norms,
                rope,
                value_norm: (shape.values != Values::Own).then(|| RmsNorm::bare(parts.norms.eps)),
                first_value: match shape.values {
                    Values::OfKeys => heads,
                    Values::Own | Values::Normed => heads + kv_heads,
                },
            }),
        };
        Ok(Self {
            way,
            heads,
            kv_heads,
            head_dim: shape.head_dim,
        })
    }

    /// Of what the matrices say of each token, one after the other, queries `[tokens, heads, 1, head_dim]`, and keys and values
    /// `[tokens, 2, kv_heads, 1, head_dim]`. Each token is a batch of its own, so that each is rotated by its own position.
    pub(super) fn placed(&self, all: &Array, cache: &StepLayer<'_>) -> Done<(Array, Array)> {
        let said = all.reshape(&[all.dim(0), -1, 1, self.head_dim])?;
        let placed = match &self.way {
            Way::Nothing => said,
            Way::AtOnce(way) => way.placed(&said, cache)?,
            Way::InSteps(way) => way.placed(&said, [self.heads, self.kv_heads], cache)?,
        };
        let queries = slice(&placed, &[(1, 0..self.heads)])?;
        let keys_values = slice(&placed, &[(1, self.heads..self.heads + 2 * self.kv_heads)])?;
        let planes = [all.dim(0), 2, self.kv_heads, 1, self.head_dim];
        Ok((queries, keys_values.reshape(&planes)?))
    }
}

impl GroupedShape {
    fn turns_at_once(&self, rope: &Rope) -> bool {
        self.values == Values::Own && rope.is_of_all(self.head_dim)
    }
}

impl AtOnce {
    fn new(norm: Option<HeadNorm>, rope: Rc<Rope>, [heads, kv_heads]: [i32; 2]) -> Self {
        let all = heads + 2 * kv_heads;
        let is_value: Vec<bool> = (0..all).map(|head| head >= heads + kv_heads).collect();
        Self {
            norm,
            rope,
            is_value: Array::from_slice(&is_value, &[all, 1, 1]),
        }
    }

    /// `[tokens, heads, 1, head_dim]` of all to the same.
    fn placed(&self, said: &Array, cache: &StepLayer<'_>) -> Computed {
        let whole = said.reshape(&self.rope.in_pairs(&[said.dim(0), said.dim(1)]))?;
        let [by_first, by_second] = self.rope.turns(said.dtype(), cache)?;
        let norm = self.norm.as_ref();
        let unit = norm.map(|norm| norm.bare.forward(said)).transpose()?;
        let [first, second] = self.rope.pairs(unit.as_ref().unwrap_or(said))?;
        let pass = [&self.is_value, &whole];
        let turns = [&by_first, &by_second];
        let placed = match norm.and_then(|norm| norm.weights.as_ref()) {
            None => fused(
                turn_or_pass,
                &[&pass[..], &[&first, &second], &turns].concat(),
            )?,
            Some(weights) => {
                let weighed = [&first, &second, &weights[0], &weights[1]];
                fused(weigh_and_turn, &[&pass[..], &weighed, &turns].concat())?
            }
        };
        placed.reshape(said.shape())
    }
}

impl HeadNorm {
    /// Of heads that so many heads of values follow.
    fn new(norm: &RmsNorm, rope: &Rope, values: i32) -> Done<Self> {
        let weights = norm.weight().map(|weight| {
            let rest = ops::ones_dtype(&[values, 1, weight.dim(-1)], weight.dtype())?;
            let all = ops::concatenate(&[weight, &rest], 0)?;
            let [first, second] = rope.halves(&all.expand_dims(0)?)?;
            let [first, second] = [first.squeeze_axes(&[0])?, second.squeeze_axes(&[0])?];
            Done::Ok([first.contiguous()?, second.contiguous()?])
        });
        let weights = weights.transpose()?;
        mlx_rs::transforms::eval(weights.iter().flatten())?;
        Ok(Self {
            bare: norm.without_weight(),
            weights,
        })
    }
}

/// A head that is passed as it is, or its pairs turned.
fn turn_or_pass(inputs: &[Array]) -> Computed {
    let [passes, whole, pairs @ ..] = inputs else {
        return Err("heads, and which of them pass".into());
    };
    ops::select(passes, whole, turn(pairs)?)
}

/// The same of pairs that are multiplied by weights before.
fn weigh_and_turn(inputs: &[Array]) -> Computed {
    let [
        passes,
        whole,
        first,
        second,
        of_first,
        of_second,
        turns @ ..,
    ] = inputs
    else {
        return Err("heads, their pairs, and weights of these".into());
    };
    let pairs = [first.multiply(of_first)?, second.multiply(of_second)?];
    let heads = [passes.clone(), whole.clone()];
    turn_or_pass(&[&heads, &pairs, turns].concat())
}

impl InSteps {
    /// The same as [`AtOnce::placed`].
    fn placed(&self, said: &Array, [heads, kv_heads]: [i32; 2], cache: &StepLayer<'_>) -> Computed {
        let some = |from, to| slice(said, &[(1, from..to)]);
        let rotated = some(0, heads + kv_heads)?;
        let mut rotated = match &self.norms {
            Norms::None => rotated,
            Norms::Heads(norm) => norm.forward(&rotated)?,
            Norms::Across(norms) => {
                let flat = |x: Array| x.reshape(&[x.dim(0), -1]);
                let (q, k) = (some(0, heads)?, some(heads, heads + kv_heads)?);
                let both = norms.forward([&flat(q)?, &flat(k)?])?;
                ops::concatenate(&both, 1)?.reshape(rotated.shape())?
            }
        };
        if let Some(rope) = &self.rope {
            rotated = rope.rotate(&rotated, cache)?;
        }
        let mut values = some(self.first_value, self.first_value + kv_heads)?;
        if let Some(norm) = &self.value_norm {
            values = norm.forward(&values)?;
        }
        ops::concatenate(&[rotated, values], 1)
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
            QueryKeyNorms::Bare { eps } => Self::Heads(RmsNorm::bare(eps)),
            QueryKeyNorms::Heads => {
                let width = shape.head_dim;
                let norms = [
                    (parts.norm_of(&q, width)?, parts.share(shape.heads)),
                    (parts.norm_of(&k, width)?, parts.share(shape.kv_heads)),
                ];
                Self::Heads(RmsNorm::of_heads(&norms)?)
            }
            QueryKeyNorms::Together => {
                let widths = [shape.width(), shape.kv_width()];
                Self::Across(NormsAcross::load(parts, [&q, &k], widths)?)
            }
        })
    }
}
