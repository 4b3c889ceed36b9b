//! A mixture of experts (Shazeer et al. 2017, arXiv 1701.06538): of many gated feed-forward parts, each token goes through
//! the few that a router chooses for it.

use mlx_rs::ops::argsort_axis;
use mlx_rs::{Array, ops};

use super::block::{BlockParts, FeedForward, Onto, added};
use super::inner::Inner;
use super::weight::Together;
use super::{Activation, Cut, Joined, Linear, Mlp, PartWeights, Router};
use crate::error::LoadError;
use crate::family::Computed;
use crate::load::{Along, Part, Piece};
use crate::ops::kernels;

/// From so many rows on they are sorted by their experts, whose weights are then read once each.
const SORTED_ROWS_MIN: usize = 64;

/// The router, its experts, and those that all tokens go through.
pub(crate) struct Experts {
    router: Router,
    inner: Inner,
    down: Linear,
    weighed: Weighed,
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
    /// Where the original has them: `mlp.experts`, and the names of gate, up and down there if each is by itself. Otherwise
    /// `gate_up_proj` and `down_proj` are those of all.
    pub(crate) single: (&'a str, [&'a str; 3]),
    pub(crate) count: i32,
    /// Between the matrices of one.
    pub(crate) inner: i32,
    pub(crate) bias: bool,
    pub(crate) activation: Activation,
    pub(crate) weighed: Weighed,
    /// Whether the original has columns before rows.
    pub(crate) turned: bool,
}

/// What the router's weights multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weighed {
    /// What each expert says.
    Outputs,
    /// What the one expert of a token sees.
    Input,
}

impl<'a> ExpertsShape<'a> {
    /// The usual ones, by where mlx-lm and where the original has them.
    pub(crate) const fn silu(stacked: &'a str, single: &'a str, count: i32, inner: i32) -> Self {
        Self {
            stacked,
            single: (single, ["gate_proj", "up_proj", "down_proj"]),
            count,
            inner,
            bias: false,
            activation: Activation::Silu,
            weighed: Weighed::Outputs,
            turned: false,
        }
    }
}

impl Experts {
    pub(crate) fn load(
        parts: &mut BlockParts<'_, '_>,
        shape: &ExpertsShape<'_>,
        router: Router,
        shared: Option<SharedExpert>,
    ) -> Result<Self, LoadError> {
        let (inner, down) = matrices(parts, shape)?;
        Ok(Self {
            router,
            inner,
            down,
            weighed: shape.weighed,
            shared,
        })
    }

    /// What the experts say of `x`, chosen by `judged`, both `[tokens, hidden]`.
    pub(crate) fn of_judged(&self, judged: &Array, x: &Array, onto: Onto<'_>) -> Computed {
        let (chosen, weights) = self.router.choose(judged)?;
        let of_shared = self.shared.as_ref();
        let of_shared = of_shared
            .map(|shared| shared.forward(x, onto))
            .transpose()?;
        let onto = of_shared.as_ref().or(onto);
        match self.weighed {
            Weighed::Outputs => sum_by_weights(&weights, &self.answers(x, &chosen)?, onto),
            Weighed::Input => {
                let answers = self.answers(&x.multiply(weights)?, &chosen)?;
                added(answers.sum_axis(1, None)?, onto)
            }
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
            let x = x.reshape(&[tokens, 1, 1, hidden])?;
            return self.through(&x, chosen, false)?.squeeze_axes(&[2]);
        }
        let flat = chosen.reshape(&[-1])?;
        let order = argsort_axis(&flat, 0)?;
        let sources = order.floor_divide(Array::from_slice(&[each as u32], &[1]))?;
        let rows = x.take_axis(sources, 0)?.reshape(&[-1, 1, hidden])?;
        let said = self.through(&rows, &flat.take_axis(&order, 0)?, true)?;
        let back = argsort_axis(&order, 0)?;
        said.take_axis(back, 0)?.reshape(&[tokens, each, hidden])
    }
}

impl SharedExpert {
    pub(super) fn forward(&self, x: &Array, onto: Onto<'_>) -> Computed {
        let Some(gate) = &self.gate else {
            return self.mlp.forward(x, onto);
        };
        let said = self.mlp.forward(x, None)?;
        added(said.multiply(ops::sigmoid(gate.forward(x)?)?)?, onto)
    }
}

impl FeedForward for Experts {
    fn forward(&self, x: &Array, onto: Onto<'_>) -> Computed {
        self.of_judged(x, x, onto)
    }
}

/// `[tokens, each]` of `[tokens, each, hidden]`, added to `onto`: a row for each token times a matrix for each.
fn sum_by_weights(weights: &Array, answers: &Array, onto: Onto<'_>) -> Computed {
    let weights = weights.reshape(&[weights.dim(0), 1, -1])?;
    let sum = match onto {
        Some(onto) => kernels::product_onto(&onto.expand_dims(1)?, &weights, answers)?,
        None => ops::matmul(weights, answers)?,
    };
    sum.squeeze_axes(&[1])
}

/// Gate and up, and down, in whichever form they are there.
fn matrices(
    parts: &mut BlockParts<'_, '_>,
    shape: &ExpertsShape<'_>,
) -> Result<(Inner, Linear), LoadError> {
    let (single, [_, _, down]) = shape.single;
    let gated = |both: Joined<2>| Inner::Gated(both, shape.activation);
    if !shape.activation.has_gate() {
        return without_gate(parts, shape);
    }
    if parts.has(&format!("{}.gate_proj.weight", shape.stacked)) {
        let names = [("gate_proj", shape.inner), ("up_proj", shape.inner)];
        let (hidden, rows) = (parts.hidden, parts.rows());
        let mut all = experts(parts, shape, shape.stacked);
        let gate_up = Joined::load(&mut all, names, hidden, rows)?;
        return Ok((gated(gate_up), stacked(parts, shape, "down_proj", true)?));
    }
    if !parts.has(&format!("{single}.gate_up_proj")) {
        let gate_up = gate_and_up(parts, shape)?;
        return Ok((gated(gate_up), one_by_one(parts, shape, down, true)?));
    }
    if shape.turned {
        let (gate_up, down) = turned(parts, shape)?;
        return Ok((gated(gate_up), down));
    }
    let (hidden, rows) = (parts.hidden, parts.rows());
    let mut all = experts(parts, shape, single);
    let gate_up = Joined::load_together(&mut all, "gate_up_proj", [shape.inner; 2], hidden, rows)?;
    let columns = parts.columns();
    let mut all = experts(parts, shape, single);
    let down = all.linear("down_proj", hidden, shape.inner, columns)?;
    Ok((gated(gate_up), down))
}

/// Experts of two matrices.
fn without_gate(
    parts: &mut BlockParts<'_, '_>,
    shape: &ExpertsShape<'_>,
) -> Result<(Inner, Linear), LoadError> {
    let plain = |up: Linear| Inner::Plain(up, shape.activation);
    if parts.has(&format!("{}.fc1.weight", shape.stacked)) {
        let mut one = |name, is_second| stacked(parts, shape, name, is_second);
        return Ok((plain(one("fc1", false)?), one("fc2", true)?));
    }
    let [_, up, down] = shape.single.1;
    let mut one = |name, is_second| one_by_one(parts, shape, name, is_second);
    Ok((plain(one(up, false)?), one(down, true)?))
}

/// The same of tensors that have columns before rows.
fn turned(
    parts: &mut BlockParts<'_, '_>,
    shape: &ExpertsShape<'_>,
) -> Result<(Joined<2>, Linear), LoadError> {
    let &ExpertsShape { count, inner, .. } = shape;
    let (hidden, own) = (parts.hidden, parts.share(inner));
    let first = own * parts.slice.index as i32;
    let path = |name: &str| parts.path(&format!("{}.{name}", shape.single.0));
    let (gate_up, down) = (path("gate_up_proj"), path("down_proj"));
    let mut take = |name: &str, size: [i32; 3], axis, from| {
        let part = Part::Between(from, from + own);
        let piece = Piece {
            name: name.to_string(),
            expected: size.to_vec(),
            cut: Some(Along { axis, part }),
        };
        Linear::turned(parts.weights, &piece)
    };
    let both = [count, hidden, 2 * inner];
    let gate = take(&gate_up, both, 2, first)?;
    let up = take(&gate_up, both, 2, inner + first)?;
    let down = take(&down, [count, inner, hidden], 1, first)?;
    Ok((Joined::of(vec![gate, up])?, down))
}

/// Tensors of which each holds one matrix of all experts.
fn experts<'a, 'folder>(
    parts: &'a mut BlockParts<'_, 'folder>,
    shape: &ExpertsShape<'_>,
    name: &str,
) -> PartWeights<'a, 'folder> {
    PartWeights {
        experts: Some(shape.count),
        ..parts.part(name, shape.bias)
    }
}

/// Matrices that lie in one tensor.
fn stacked(
    parts: &mut BlockParts<'_, '_>,
    shape: &ExpertsShape<'_>,
    name: &str,
    is_second: bool,
) -> Result<Linear, LoadError> {
    let (outputs, inputs, cut) = matrix(parts, shape, is_second);
    experts(parts, shape, shape.stacked).linear(name, outputs, inputs, cut)
}

/// Matrices of which each has a tensor of its own.
fn one_by_one(
    parts: &mut BlockParts<'_, '_>,
    shape: &ExpertsShape<'_>,
    name: &str,
    is_second: bool,
) -> Result<Linear, LoadError> {
    let all = all_single(parts, shape, &[name], is_second, Together::Behind)?;
    all.ok_or_else(|| {
        let tensor = format!("{}.*.{name}.weight", parts.path(shape.single.0));
        LoadError::Tensor {
            tensor,
            problem: "the experts are not quantized alike".into(),
        }
    })
}

/// The same of gates and of what they multiply: of each expert one below the other, if they are all of one kind.
fn gate_and_up(
    parts: &mut BlockParts<'_, '_>,
    shape: &ExpertsShape<'_>,
) -> Result<Joined<2>, LoadError> {
    let [gate, up, _] = shape.single.1;
    if !shape.bias
        && let Some(both) = all_single(parts, shape, &[gate, up], false, Together::Below)?
    {
        let rows = parts.share(shape.inner);
        return Ok(Joined::one(both.parted(shape.count)?, [rows; 2]));
    }
    let mut one = |name| one_by_one(parts, shape, name, false);
    Ok(Joined::of(vec![one(gate)?, one(up)?])?)
}

/// The matrices of these names, of one expert after the other.
fn all_single(
    parts: &mut BlockParts<'_, '_>,
    shape: &ExpertsShape<'_>,
    names: &[&str],
    is_second: bool,
    together: Together,
) -> Result<Option<Linear>, LoadError> {
    let (outputs, inputs, cut) = matrix(parts, shape, is_second);
    let of_expert = |expert: i32| {
        let path = parts.path(&format!("{}.{expert}", shape.single.0));
        names.iter().map(move |name| format!("{path}.{name}"))
    };
    let paths: Vec<String> = (0..shape.count).flat_map(of_expert).collect();
    let each = parts.part(shape.single.0, shape.bias);
    let each: Vec<_> = paths
        .iter()
        .map(|path| each.projection(path, outputs, inputs, cut))
        .collect();
    Linear::load_together(parts.weights, &each, together)
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
