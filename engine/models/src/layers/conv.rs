//! A short causal convolution along a sequence, each channel by itself, and `SiLU`: what recurrences see of the tokens before.

use mlx_rs::error::Result;
use mlx_rs::{Array, ops};

use super::block::BlockParts;
use crate::error::LoadError;
use crate::load::{Along, Part};
use crate::ops::slice;

/// Its weights.
#[derive(Debug)]
pub(super) struct CausalConv {
    /// `[channels, kernel, 1]`.
    weight: Array,
    bias: Option<Array>,
    kernel: i32,
}

impl CausalConv {
    /// Loads a rank's channels of each of the `segments` that all channels are made of.
    pub(super) fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        segments: &[i32],
        kernel: i32,
        has_bias: bool,
    ) -> std::result::Result<Self, LoadError> {
        let channels: i32 = segments.iter().sum();
        let path = parts.path(name);
        let name = format!("{path}.weight");
        // As PyTorch lays it out, or as MLX does.
        let transposed = [channels, 1, kernel];
        let shape = if parts.weights.is(&name, &transposed) {
            transposed
        } else {
            [channels, kernel, 1]
        };
        let weight = of_segments(parts, &name, &shape, segments)?;
        let weight = weight.reshape(&[-1, kernel, 1])?;
        let bias = if has_bias {
            let name = format!("{path}.bias");
            Some(of_segments(parts, &name, &[channels], segments)?)
        } else {
            None
        };
        Ok(Self {
            weight,
            bias,
            kernel,
        })
    }

    /// `[sequences, tokens, channels]` and the inputs before them, `[sequences, kernel - 1, channels]`, to the same: what
    /// comes out, and the inputs before those that come next.
    pub(super) fn forward(&self, x: &Array, before: &Array) -> Result<(Array, Array)> {
        let (tokens, channels) = (x.dim(1), x.dim(2));
        let seen = ops::concatenate(&[before, x], 1)?;
        // A slice alone would hold the memory of the whole.
        let last = slice(&seen, &[(1, tokens..tokens + self.kernel - 1)])?.contiguous()?;
        let mut said = ops::conv1d(&seen, &self.weight, 1, 0, 1, channels)?;
        if let Some(bias) = &self.bias {
            said = said.add(bias)?;
        }
        let said = said.multiply(ops::sigmoid(&said)?)?;
        Ok((said, last))
    }
}

/// This rank's part of each of the segments that lie one behind the other in the first dimension of a tensor.
fn of_segments(
    parts: &mut BlockParts<'_, '_>,
    name: &str,
    shape: &[i32],
    segments: &[i32],
) -> std::result::Result<Array, LoadError> {
    let mut own = Vec::with_capacity(segments.len());
    for (from, to) in parts.of_segments(segments) {
        let along = Along {
            axis: 0,
            part: Part::Between(from, to),
        };
        own.push(parts.weights.take(name, shape, Some(along))?);
    }
    Ok(ops::concatenate(&own, 0)?)
}
