//! Mamba-2 (Dao and Gu 2024, arXiv 2405.21060): a recurrence that says for each token how fast each head's matrix fades.

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype, fast, ops};

use super::block::{BlockParts, Mixer, Onto};
use super::conv::CausalConv;
use super::recurrence::{Recurrence, Said};
use super::{Joined, Linear, State, StepLayer};
use crate::error::LoadError;
use crate::family::Computed;
use crate::ops::slice;

/// What one looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MambaShape {
    /// Of all ranks.
    pub(crate) heads: i32,
    /// Groups of heads that share keys and queries, a divisor of these.
    pub(crate) groups: i32,
    /// Elements of a head.
    pub(crate) head_dim: i32,
    /// Elements of a key or query.
    pub(crate) key_dim: i32,
    /// Tokens that the convolution sees.
    pub(crate) kernel: i32,
    /// Whether the convolution has biases.
    pub(crate) conv_bias: bool,
    /// Whether the matrices have.
    pub(crate) bias: bool,
    pub(crate) eps: f32,
    /// Between which two the time that a token takes is kept.
    pub(crate) time: [Option<f32>; 2],
}

impl MambaShape {
    /// Elements of all heads.
    pub(crate) fn width(&self) -> i32 {
        self.heads * self.head_dim
    }

    /// Elements of all keys, or of all queries.
    pub(crate) fn key_width(&self) -> i32 {
        self.groups * self.key_dim
    }

    /// The gate; values, keys and queries; times.
    fn segments(&self) -> [i32; 5] {
        let [width, keys] = [self.width(), self.key_width()];
        [width, width, keys, keys, self.heads]
    }

    /// Bytes of what it remembers of a sequence, on all ranks: the last inputs of the convolution, of so many bytes each, and
    /// a matrix of float32 for each head.
    pub(crate) fn state_bytes(&self, element_bytes: u64) -> u64 {
        let inputs = (self.width() + 2 * self.key_width()) as u64 * (self.kernel - 1) as u64;
        inputs * element_bytes + self.width() as u64 * self.key_dim as u64 * 4
    }

    /// A rank's share.
    fn shared(self, parts: &BlockParts<'_, '_>) -> Self {
        Self {
            heads: parts.share(self.heads),
            groups: parts.share(self.groups),
            ..self
        }
    }
}

/// Values, keys and queries through a convolution, the recurrence, and a gate and a norm on what comes out.
pub(crate) struct Mamba {
    /// The gate; values, keys and queries; times.
    input: Joined<3>,
    conv: CausalConv,
    /// Of each head, `[heads]`.
    time_bias: Array,
    /// By which its times become fading, `[groups, heads of a group, 1, 1]`.
    rate: Array,
    /// How much of its values goes past the recurrence, the same.
    past: Array,
    recurrence: Recurrence,
    empty: State,
    /// `[heads * head_dim]`.
    norm: Array,
    output: Linear,
    /// This rank's.
    shape: MambaShape,
}

impl Mamba {
    pub(crate) fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: MambaShape,
    ) -> std::result::Result<Self, LoadError> {
        let own = shape.shared(parts);
        let (hidden, columns) = (parts.hidden, parts.columns());
        let segments = shape.segments();
        let cuts = parts.of_segments(&segments);
        let mut matrices = parts.part(name, shape.bias);
        let input = matrices.segments("in_proj", &segments, hidden, &cuts)?;
        let output = matrices.linear("out_proj", hidden, shape.width(), columns)?;
        let inputs = own.width() + 2 * own.key_width();
        let conv = CausalConv::load(
            parts,
            &format!("{name}.conv1d"),
            &segments[1..4],
            shape.kernel,
            shape.conv_bias,
        )?;
        let rate = parts.of_heads(&format!("{name}.A_log"), shape.heads)?;
        let in_groups = |each: Array| -> Result<Array> {
            let each = each.reshape(&[own.groups, own.heads / own.groups, 1, 1])?;
            each.as_dtype(Dtype::Float32)
        };
        let dtype = parts.weights.activation_dtype()?;
        let matrices = [1, own.heads, own.key_dim, own.head_dim];
        Ok(Self {
            input: Joined::one(input, [own.width(), inputs, own.heads]),
            conv,
            time_bias: parts.of_heads(&format!("{name}.dt_bias"), shape.heads)?,
            rate: in_groups(rate)?.exp()?.negative()?,
            past: in_groups(parts.of_heads(&format!("{name}.D"), shape.heads)?)?,
            recurrence: Recurrence::new(),
            empty: (
                ops::zeros_dtype(&[1, shape.kernel - 1, inputs], dtype)?,
                ops::zeros_dtype(&matrices, Dtype::Float32)?,
            ),
            norm: parts.of_heads(&format!("{name}.norm.weight"), shape.width())?,
            output,
            shape: own,
        })
    }

    /// Values, keys and queries, and times of some sequences, `[sequences, tokens, ..]` each.
    fn advance(
        &self,
        [mixed, times]: &[Array; 2],
        (before, matrices): State,
    ) -> Result<(Array, State)> {
        let MambaShape {
            heads: all_heads,
            groups,
            head_dim,
            key_dim,
            ..
        } = self.shape;
        let (sequences, tokens) = (mixed.dim(0), mixed.dim(1));
        let heads = all_heads / groups;
        let dtype = mixed.dtype();
        let (mixed, before) = self.conv.forward(mixed, &before)?;
        let mixed = mixed.as_dtype(Dtype::Float32)?;
        // `[sequences, tokens, groups, heads, elements]`, then the tokens after the heads.
        let in_heads = |said: &Array, heads: i32, elements: i32| -> Result<Array> {
            let said = said.reshape(&[sequences, tokens, groups, heads, elements])?;
            said.transpose_axes(&[0, 2, 3, 1, 4])
        };
        let (width, keys) = (self.shape.width(), self.shape.key_width());
        let segment = |from: i32, to: i32| slice(&mixed, &[(2, from..to)]);
        let values = in_heads(&segment(0, width)?, heads, head_dim)?;
        let times = in_heads(&self.times(times)?, heads, 1)?;
        let said = Said {
            keys: in_heads(&segment(width, width + keys)?, 1, key_dim)?,
            queries: in_heads(&segment(width + keys, width + 2 * keys)?, 1, key_dim)?,
            values: values.multiply(&times)?,
            fading: times.multiply(&self.rate)?.squeeze_axes(&[-1])?,
            eagerness: None,
        };
        let grouped = [sequences, groups, heads, key_dim, head_dim];
        let (read, matrices) = self.recurrence.run(&said, &matrices.reshape(&grouped)?)?;
        let read = read.add(values.multiply(&self.past)?)?;
        let read = read.transpose_axes(&[0, 3, 1, 2, 4])?;
        let read = read.reshape(&[sequences, tokens, width])?;
        let matrices = matrices.reshape(&[sequences, all_heads, key_dim, head_dim])?;
        Ok((read.as_dtype(dtype)?, (before, matrices)))
    }

    /// How long each token takes, in float32.
    fn times(&self, said: &Array) -> Result<Array> {
        let said = said.as_dtype(Dtype::Float32)?.add(&self.time_bias)?;
        let mut times = ops::logaddexp(said, Array::from_f32(0.0))?;
        let [least, most] = self.shape.time;
        if let Some(least) = least {
            times = ops::maximum(times, Array::from_f32(least))?;
        }
        if let Some(most) = most {
            times = ops::minimum(times, Array::from_f32(most))?;
        }
        Ok(times)
    }
}

impl Mixer for Mamba {
    fn forward(&self, x: &Array, onto: Onto<'_>, cache: &mut StepLayer<'_>) -> Computed {
        let [gate, mixed, times] = self.input.forward(x)?;
        let read = cache.recur(&[mixed, times], &self.empty, |said, state| {
            self.advance(said, state)
        })?;
        let gated = gate.multiply(ops::sigmoid(&gate)?)?.multiply(read)?;
        let width = self.shape.width();
        let groups = gated.reshape(&[-1, self.shape.groups, width / self.shape.groups])?;
        let normed = fast::rms_norm(groups, None, self.shape.eps)?;
        let normed = normed.reshape(&[-1, width])?.multiply(&self.norm)?;
        self.output.forward_onto(&normed, onto)
    }
}
