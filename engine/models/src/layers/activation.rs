//! What stands between a gated pair of matrices.

use std::f32::consts::FRAC_2_PI;

use mlx_rs::error::Exception;
use mlx_rs::{Array, ops};

use crate::family::Computed;
use crate::ops::fused::fused;

/// Of gpt-oss: how steep its sigmoid is, and where its inputs are cut.
const CLIPPED_SLOPE: f32 = 1.702;
const CLIPPED_LIMIT: f32 = 7.0;

/// What is done to the gate before it is multiplied with the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// The tanh approximation of the Gaussian error linear unit (Hendrycks and Gimpel 2016).
    GeluTanh,
    /// gpt-oss's: the gate cut from above and times its steeper sigmoid, the other cut on both sides and one added.
    ClippedSilu,
}

impl Activation {
    /// Of two arrays of the same shape.
    pub(crate) fn gated(self, gate: &Array, up: &Array) -> Computed {
        let function = match self {
            Self::Silu => silu,
            Self::GeluTanh => gelu_tanh,
            Self::ClippedSilu => clipped_silu,
        };
        fused(function, &[gate, up])
    }
}

fn silu(gate_up: &[Array]) -> Computed {
    let [gate, up] = pair(gate_up)?;
    gate.multiply(ops::sigmoid(gate)?)?.multiply(up)
}

fn gelu_tanh(gate_up: &[Array]) -> Computed {
    let [x, up] = pair(gate_up)?;
    let number = |value: f32| Array::from_f32(value).as_dtype(x.dtype());
    let cubed = x.multiply(x)?.multiply(x)?.multiply(number(0.044_715)?)?;
    let inner = x.add(cubed)?.multiply(number(FRAC_2_PI.sqrt())?)?;
    let weight = ops::tanh(inner)?.add(number(1.0)?)?;
    x.multiply(number(0.5)?)?.multiply(weight)?.multiply(up)
}

fn clipped_silu(gate_up: &[Array]) -> Computed {
    let [gate, up] = pair(gate_up)?;
    let number = |value: f32| Array::from_f32(value).as_dtype(gate.dtype());
    let limit = number(CLIPPED_LIMIT)?;
    let gate = ops::minimum(gate, &limit)?;
    let steep = ops::sigmoid(gate.multiply(number(CLIPPED_SLOPE)?)?)?;
    let up = ops::clip(up, (&number(-CLIPPED_LIMIT)?, &limit))?;
    up.add(number(1.0)?)?.multiply(gate.multiply(steep)?)
}

fn pair(gate_up: &[Array]) -> Result<&[Array; 2], Exception> {
    let pair = gate_up.try_into();
    pair.map_err(|_| Exception::custom("a gate and what it gates"))
}
