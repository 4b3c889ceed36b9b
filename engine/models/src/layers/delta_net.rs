//! Gated delta net (Yang et al. 2024, arXiv 2412.06464): attention whose memory is a matrix for each head, however long the
//! sequence.

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype, fast, ops};

use super::block::{BlockParts, Mixer, Onto};
use super::conv::CausalConv;
use super::recurrence::{Recurrence, Said};
use super::{Joined, Linear, NormKind, RmsNorm, State, StepLayer};
use crate::error::LoadError;
use crate::family::Computed;
use crate::ops::slice;

/// Of the norms of queries and keys.
const UNIT_EPS: f32 = 1e-6;

/// What one looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeltaShape {
    /// Heads of queries and keys, of all ranks.
    pub(crate) key_heads: i32,
    /// Heads of values, a multiple of these.
    pub(crate) value_heads: i32,
    /// Elements of a query or key.
    pub(crate) key_dim: i32,
    /// Elements of a value.
    pub(crate) value_dim: i32,
    /// Tokens that the convolution sees.
    pub(crate) kernel: i32,
    pub(crate) eps: f32,
}

impl DeltaShape {
    /// Elements of all queries, or of all keys.
    pub(crate) fn key_width(&self) -> i32 {
        self.key_heads * self.key_dim
    }

    /// Elements of all values.
    pub(crate) fn value_width(&self) -> i32 {
        self.value_heads * self.value_dim
    }

    /// Queries, keys and values: what goes through the convolution.
    fn segments(&self) -> [i32; 3] {
        [self.key_width(), self.key_width(), self.value_width()]
    }

    /// Bytes of what it remembers of a sequence, on all ranks: the last inputs of the convolution, of so many bytes each, and
    /// a matrix of float32 for each head.
    pub(crate) fn state_bytes(&self, element_bytes: u64) -> u64 {
        let inputs = self.segments().iter().sum::<i32>() as u64 * (self.kernel - 1) as u64;
        inputs * element_bytes + self.value_width() as u64 * self.key_dim as u64 * 4
    }

    /// A rank's share.
    fn shared(self, parts: &BlockParts<'_, '_>) -> Self {
        Self {
            key_heads: parts.share(self.key_heads),
            value_heads: parts.share(self.value_heads),
            ..self
        }
    }
}

/// Queries, keys and values through a convolution, the recurrence, and a gate on what comes out.
pub(crate) struct GatedDeltaNet {
    /// Queries, keys and values; the gate; eagerness and fading.
    input: Joined<4>,
    conv: CausalConv,
    /// Of each head, `[value_heads]`.
    rate: Array,
    /// The same.
    rate_bias: Array,
    /// Of queries and of keys, `[key_dim]`.
    scales: [Array; 2],
    recurrence: Recurrence,
    empty: State,
    norm: RmsNorm,
    output: Linear,
    /// This rank's.
    shape: DeltaShape,
}

impl GatedDeltaNet {
    pub(crate) fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: DeltaShape,
    ) -> std::result::Result<Self, LoadError> {
        let together = parts.path(&format!("{name}.in_proj_qkvz.weight"));
        let input = if parts.weights.has(&together) {
            by_head(parts, name, &shape)?
        } else {
            apart(parts, name, &shape)?
        };
        let conv = format!("{name}.conv1d");
        let conv = CausalConv::load(parts, &conv, &shape.segments(), shape.kernel, false)?;
        let rate = parts.of_heads(&format!("{name}.A_log"), shape.value_heads)?;
        let rate_bias = parts.of_heads(&format!("{name}.dt_bias"), shape.value_heads)?;
        let norm = NormKind {
            eps: shape.eps,
            offset: 0.0,
        };
        let path = parts.path(&format!("{name}.norm"));
        let norm = RmsNorm::load(parts.weights, &path, shape.value_dim, norm)?;
        let (hidden, columns) = (parts.hidden, parts.columns());
        let output = parts.part(name, false);
        let output = { output }.linear("out_proj", hidden, shape.value_width(), columns)?;
        let own = shape.shared(parts);
        let key_dim = shape.key_dim;
        let scale = |scale: f32| Array::from_slice(&vec![scale; key_dim as usize], &[key_dim]);
        let dtype = parts.weights.activation_dtype()?;
        let inputs = 2 * own.key_width() + own.value_width();
        let matrices = [1, own.value_heads, own.key_dim, own.value_dim];
        Ok(Self {
            input,
            conv,
            rate: rate.as_dtype(Dtype::Float32)?.exp()?.negative()?,
            rate_bias,
            // Both are of length 1; queries are scaled as those of attention are.
            scales: [
                scale(1.0 / key_dim as f32),
                scale((key_dim as f32).powf(-0.5)),
            ],
            recurrence: Recurrence::new(),
            empty: (
                ops::zeros_dtype(&[1, shape.kernel - 1, inputs], dtype)?,
                ops::zeros_dtype(&matrices, Dtype::Float32)?,
            ),
            norm,
            output,
            shape: own,
        })
    }

    /// Queries, keys and values, eagerness and fading of some sequences, `[sequences, tokens, ..]` each.
    fn advance(
        &self,
        [mixed, eagerness, fading]: &[Array; 3],
        (before, matrices): State,
    ) -> Result<(Array, State)> {
        let DeltaShape {
            key_heads: groups,
            value_heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        let (sequences, tokens) = (mixed.dim(0), mixed.dim(1));
        let heads = value_heads / groups;
        let (mixed, before) = self.conv.forward(mixed, &before)?;
        let mixed = mixed.as_dtype(Dtype::Float32)?;
        // `[sequences, tokens, groups, heads, elements]`; the recurrence wants the tokens after the heads.
        let in_heads = |from: i32, heads: i32, dim: i32| -> Result<Array> {
            let own = slice(&mixed, &[(2, from..from + groups * heads * dim)])?;
            own.reshape(&[sequences, tokens, groups, heads, dim])
        };
        let order = [0, 2, 3, 1, 4];
        let of_heads = |said: Array| -> Result<Array> {
            let said = said.as_dtype(Dtype::Float32)?;
            let said = said.reshape(&[sequences, tokens, groups, heads])?;
            said.transpose_axes(&order[..4])
        };
        let unit = |said: &Array, scale: &Array| {
            let unit = fast::rms_norm(said, Some(scale), UNIT_EPS / key_dim as f32)?;
            unit.transpose_axes(&order)
        };
        let width = self.shape.key_width();
        let [query_scale, key_scale] = &self.scales;
        let said = Said {
            queries: unit(&in_heads(0, 1, key_dim)?, query_scale)?,
            keys: unit(&in_heads(width, 1, key_dim)?, key_scale)?,
            values: in_heads(2 * width, heads, value_dim)?.transpose_axes(&order)?,
            fading: of_heads(self.fading(fading)?)?,
            eagerness: Some(of_heads(ops::sigmoid(eagerness)?)?),
        };
        let grouped = [sequences, groups, heads, key_dim, value_dim];
        let (read, matrices) = self.recurrence.run(&said, &matrices.reshape(&grouped)?)?;
        let read = read.transpose_axes(&[0, 3, 1, 2, 4])?;
        let read = read.reshape(&[sequences, tokens, value_heads, value_dim])?;
        let matrices = matrices.reshape(&[sequences, value_heads, key_dim, value_dim])?;
        Ok((read, (before, matrices)))
    }

    /// The logarithm of how much of each head's matrix stays, in float32.
    fn fading(&self, said: &Array) -> Result<Array> {
        let nothing = Array::from_f32(0.0).as_dtype(said.dtype())?;
        let time = ops::logaddexp(said.add(&self.rate_bias)?, nothing)?;
        time.multiply(&self.rate)
    }
}

impl Mixer for GatedDeltaNet {
    fn forward(&self, x: &Array, onto: Onto<'_>, cache: &mut StepLayer<'_>) -> Computed {
        let [mixed, gate, eagerness, fading] = self.input.forward(x)?;
        let read = cache.recur(&[mixed, eagerness, fading], &self.empty, |said, state| {
            self.advance(said, state)
        })?;
        let gate = gate.reshape(read.shape())?.as_dtype(Dtype::Float32)?;
        let gate = gate.multiply(ops::sigmoid(&gate)?)?;
        let gated = self.norm.forward(&read)?.multiply(gate)?;
        let gated = gated.as_dtype(x.dtype())?;
        let gated = gated.reshape(&[-1, self.shape.value_width()])?;
        self.output.forward_onto(&gated, onto)
    }
}

/// A matrix for each of the parts (Qwen3.5).
fn apart(
    parts: &mut BlockParts<'_, '_>,
    name: &str,
    shape: &DeltaShape,
) -> std::result::Result<Joined<4>, LoadError> {
    let (hidden, rows) = (parts.hidden, parts.rows());
    let cuts = parts.of_segments(&shape.segments());
    let mut matrices = parts.part(name, false);
    let mixed = matrices.segments("in_proj_qkv", &shape.segments(), hidden, &cuts)?;
    let heads = shape.value_heads;
    let gate = matrices.linear("in_proj_z", shape.value_width(), hidden, rows)?;
    let eagerness = matrices.linear("in_proj_b", heads, hidden, rows)?;
    let fading = matrices.linear("in_proj_a", heads, hidden, rows)?;
    Ok(Joined::of(vec![mixed, gate, eagerness, fading])?)
}

/// Two matrices, in which the parts of each key head and its value heads lie together (Qwen3-Next).
fn by_head(
    parts: &mut BlockParts<'_, '_>,
    name: &str,
    shape: &DeltaShape,
) -> std::result::Result<Joined<4>, LoadError> {
    let (hidden, rows) = (parts.hidden, parts.rows());
    let own = shape.shared(parts);
    let heads = own.value_heads / own.key_heads;
    let values = heads * shape.value_dim;
    let mut matrices = parts.part(name, false);
    let all = 2 * (shape.key_width() + shape.value_width());
    let first = matrices.linear("in_proj_qkvz", all, hidden, rows)?;
    let second = matrices.linear("in_proj_ba", 2 * shape.value_heads, hidden, rows)?;
    let widths = [shape.key_dim, shape.key_dim, values, values];
    // The rows of a part, head by head.
    let rows_of = |widths: &[i32], part: usize| -> Vec<i32> {
        let all: i32 = widths.iter().sum();
        let before: i32 = widths[..part].iter().sum();
        let of_head = |head: i32| head * all + before..head * all + before + widths[part];
        (0..own.key_heads).flat_map(of_head).collect()
    };
    let mixed: Vec<i32> = (0..3).flat_map(|part| rows_of(&widths, part)).collect();
    Ok(Joined::of(vec![
        first.chosen_rows(&mixed)?,
        first.chosen_rows(&rows_of(&widths, 3))?,
        second.chosen_rows(&rows_of(&[heads; 2], 0))?,
        second.chosen_rows(&rows_of(&[heads; 2], 1))?,
    ])?)
}
