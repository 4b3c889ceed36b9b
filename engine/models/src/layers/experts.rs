//! A mixture of experts (Shazeer et al. 2017, arXiv 1701.06538): of many gated feed-forward parts, each token goes through
//! the few that a router chooses for it.

use mlx_rs::Array;
use mlx_rs::error::Result;
use mlx_rs::ops::{argsort_axis, sigmoid, sum_axis};
use mlx_rs::transforms::eval;

use super::block::{BlockParts, FeedForward};
use super::inner::Inner;
use super::{Activation, Cut, Joined, Linear, Mlp, PartWeights, Router};
use crate::error::LoadError;
use crate::family::Computed;

/// From so many rows on they are sorted by their experts, whose weights are then read once each.
const SORTED_ROWS_MIN: usize = 64;

/// The router, its experts, and those that all tokens go through.
pub(crate) struct Experts {
    router: Router,
    inner: Inner,
    down: Linear,
    shared: Option<SharedExpert>,
}

/// What all tokens go through.
pub(crate) struct SharedExpert {
    pub(crate) mlp: Mlp,
    /// How much of what it says counts, `[hidden]` to one number for each token.
    pub(crate) gate: Option<Linear>,
}

/// What the experts look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExpertsShape<'a> {
    /// Where mlx-lm has them, below the block: `mlp.switch_mlp`.
    pub(crate) stacked: &'a str,
    /// Where the original has them, one by one: `mlp.experts`, and the names of gate, up and down there.
    pub(crate) single: (&'a str, [&'a str; 3]),
    pub(crate) count: i32,
    /// Between the matrices of one.
    pub(crate) inner: i32,
    pub(crate) bias: bool,
    pub(crate) activation: Activation,
}

impl Experts {
    pub(crate) fn load(
        parts: &mut BlockParts<'_, '_>,
        shape: &ExpertsShape<'_>,
        router: Router,
        shared: Option<SharedExpert>,
    ) -> std::result::Result<Self, LoadError> {
        let path = parts.path(shape.stacked);
        let has_gate = shape.activation.has_gate();
        let [gate, up, down] = if has_gate {
            ["gate_proj", "up_proj", "down_proj"]
        } else {
            ["", "fc1", "fc2"]
        };
        let is_stacked = parts.weights.has(&format!("{path}.{up}.weight"));
        let names = if is_stacked {
            [gate, up, down]
        } else {
            shape.single.1
        };
        let mut matrix = |which: usize| {
            if is_stacked {
                stacked(parts, shape, names[which], which == 2)
            } else {
                one_by_one(parts, shape, names[which], which == 2)
            }
        };
        let inner = if has_gate {
            let gate_up = Joined::of(vec![matrix(0)?, matrix(1)?])?;
            Inner::Gated(gate_up, shape.activation)
        } else {
            Inner::Plain(matrix(1)?, shape.activation)
        };
        Ok(Self {
            router,
            inner,
            down: matrix(2)?,
            shared,
        })
    }

    /// What the experts say of `x`, chosen by `judged`, both `[tokens, hidden]`.
    pub(super) fn of_judged(&self, judged: &Array, x: &Array) -> Computed {
        let (chosen, weights) = self.router.choose(judged)?;
        let answers = self.answers(x, &chosen)?;
        let weighed = answers.multiply(weights.expand_dims(2)?)?;
        let sum = sum_axis(&weighed, 1, None)?.as_dtype(x.dtype())?;
        match &self.shared {
            Some(shared) => sum.add(shared.forward(x)?),
            None => Ok(sum),
        }
    }

    /// `[rows, .., 1, hidden]`, each through its expert, to the same.
    fn through(&self, x: &Array, experts: &Array, sorted: bool) -> Computed {
        let inner = self.inner.forward_chosen(x, experts, sorted)?;
        self.down.forward_chosen(&inner, experts, sorted)
    }

    /// What each of a token's experts says, `[tokens, experts of each, hidden]`.
    fn answers(&self, x: &Array, chosen: &Array) -> Computed {
        let (tokens, each, hidden) = (x.dim(0), chosen.dim(1), x.dim(1));
        if chosen.size() < SORTED_ROWS_MIN {
            let x = x.expand_dims_axes(&[1, 2])?;
            return self.through(&x, chosen, false)?.squeeze_axes(&[2]);
        }
        let flat = chosen.reshape(&[-1])?;
        let order = argsort_axis(&flat, 0)?;
        let sources = order.floor_divide(Array::from_slice(&[each as u32], &[1]))?;
        let rows = x.take_axis(sources, 0)?.expand_dims(1)?;
        let said = self.through(&rows, &flat.take_axis(&order, 0)?, true)?;
        let back = argsort_axis(&order, 0)?;
        said.take_axis(back, 0)?.reshape(&[tokens, each, hidden])
    }
}

impl SharedExpert {
    pub(super) fn forward(&self, x: &Array) -> Computed {
        let said = self.mlp.forward(x)?;
        match &self.gate {
            Some(gate) => said.multiply(sigmoid(gate.forward(x)?)?),
            None => Ok(said),
        }
    }
}

impl FeedForward for Experts {
    fn forward(&self, x: &Array) -> Computed {
        self.of_judged(x, x)
    }
}

/// Matrices that lie in one tensor.
fn stacked(
    parts: &mut BlockParts<'_, '_>,
    shape: &ExpertsShape<'_>,
    name: &str,
    is_second: bool,
) -> std::result::Result<Linear, LoadError> {
    let (outputs, inputs, cut) = matrix(parts, shape, is_second);
    let mut matrices = PartWeights {
        experts: Some(shape.count),
        ..parts.part(shape.stacked, shape.bias)
    };
    matrices.linear(name, outputs, inputs, cut)
}

/// Matrices of which each has a tensor of its own.
fn one_by_one(
    parts: &mut BlockParts<'_, '_>,
    shape: &ExpertsShape<'_>,
    name: &str,
    is_second: bool,
) -> std::result::Result<Linear, LoadError> {
    let (outputs, inputs, cut) = matrix(parts, shape, is_second);
    let mut single = Vec::with_capacity(shape.count as usize);
    for expert in 0..shape.count {
        let path = format!("{}.{expert}", shape.single.0);
        let mut matrices = parts.part(&path, shape.bias);
        single.push(matrices.linear(name, outputs, inputs, cut)?);
    }
    together(&single)?.ok_or_else(|| {
        let tensor = format!("{}.*.{name}.weight", parts.path(shape.single.0));
        LoadError::Tensor {
            tensor,
            problem: "the experts are not quantized alike".into(),
        }
    })
}

/// Computed here and now, so that the single ones do not stay in memory.
fn together(single: &[Linear]) -> Result<Option<Linear>> {
    let stacked = Linear::stacked(single)?;
    if let Some(stacked) = &stacked {
        eval(stacked.arrays())?;
    }
    Ok(stacked)
}

/// Rows and columns of a matrix, and what of it is this rank's.
fn matrix(
    parts: &BlockParts<'_, '_>,
    shape: &ExpertsShape<'_>,
    is_second: bool,
) -> (i32, i32, Cut) {
    if is_second {
        (parts.hidden, shape.inner, parts.columns())
    } else {
        (shape.inner, parts.hidden, parts.rows())
    }
}
