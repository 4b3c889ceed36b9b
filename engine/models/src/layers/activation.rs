//! What stands between the matrices of a feed-forward part.

use std::f32::consts::FRAC_2_PI;

use mlx_rs::error::Exception;
use mlx_rs::{Array, ops};

use crate::family::Computed;
use crate::ops::fused::{OfElements, fused};
use crate::ops::kernels;

/// Of gpt-oss: how steep its sigmoid is, and where its inputs are cut.
const CLIPPED_SLOPE: f32 = 1.702;
const CLIPPED_LIMIT: f32 = 7.0;

/// What is done to the gate before it is multiplied with the other, or where there is no gate to the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// The tanh approximation of the Gaussian error linear unit (Hendrycks and Gimpel 2016).
    GeluTanh,
    /// gpt-oss's: the gate cut from above and times its steeper sigmoid, the other cut on both sides and one added.
    ClippedSilu,
    /// The square of all that is not below 0, of a single matrix (So et al. 2021, arXiv 2109.08668).
    SquaredRelu,
}

impl Activation {
    /// Whether there is a gate.
    pub(super) const fn has_gate(self) -> bool {
        !matches!(self, Self::SquaredRelu)
    }

    /// Of an array.
    pub(super) fn of(self, x: &Array) -> Computed {
        let number = |value: f32| Array::from_f32(value).as_dtype(x.dtype());
        match self {
            Self::Silu => x.multiply(ops::sigmoid(x)?),
            Self::GeluTanh => gelu_tanh(x),
            Self::ClippedSilu => {
                let x = ops::minimum(x, number(CLIPPED_LIMIT)?)?;
                let steep = ops::sigmoid(x.multiply(number(CLIPPED_SLOPE)?)?)?;
                x.multiply(steep)
            }
            Self::SquaredRelu => ops::maximum(x, number(0.0)?)?.square(),
        }
    }

    /// Of a gate and what it is multiplied with, of the same shape.
    pub(crate) fn gated(self, gate: &Array, up: &Array) -> Computed {
        // Each is compiled by itself, so each is a function of its own.
        let function: OfElements = match self {
            Self::Silu => |pair| Self::Silu.of_pair(pair),
            Self::GeluTanh => |pair| Self::GeluTanh.of_pair(pair),
            Self::ClippedSilu => |pair| Self::ClippedSilu.of_pair(pair),
            Self::SquaredRelu => |pair| Self::SquaredRelu.of_pair(pair),
        };
        fused(function, &[gate, up])
    }

    fn of_pair(self, pair: &[Array]) -> Computed {
        let [gate, up] = pair else {
            return Err(Exception::custom("a gate and what it is multiplied with"));
        };
        let gate = self.of(gate)?;
        match self {
            Self::Silu | Self::GeluTanh | Self::SquaredRelu => gate.multiply(up),
            Self::ClippedSilu => {
                let number = |value: f32| Array::from_f32(value).as_dtype(up.dtype());
                let limits = (&number(-CLIPPED_LIMIT)?, &number(CLIPPED_LIMIT)?);
                let up = ops::clip(up, limits)?;
                up.add(number(1.0)?)?.multiply(gate)
            }
        }
    }
}

fn gelu_tanh(x: &Array) -> Computed {
    let number = |value: f32| Array::from_f32(value).as_dtype(x.dtype());
    let cubed = if kernels::may_differ(x.dtype()) {
        x.multiply(x)?.multiply(x)?
    } else {
        ops::power(x, number(3.0)?)?
    };
    let cubed = cubed.multiply(number(0.044_715)?)?;
    let inner = x.add(cubed)?.multiply(number(FRAC_2_PI.sqrt())?)?;
    let weight = ops::tanh(inner)?.add(number(1.0)?)?;
    x.multiply(number(0.5)?)?.multiply(weight)
}
