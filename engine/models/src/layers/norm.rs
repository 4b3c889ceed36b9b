//! Root-mean-square norm (Zhang and Sennrich 2019).

use mlx_rs::{Array, fast};

use crate::error::LoadError;
use crate::family::Computed;
use crate::load::{Cut, Weights};

/// `x / sqrt(mean(x²) + eps) * weight` over the last dimension.
#[derive(Debug)]
pub(crate) struct RmsNorm {
    weight: Array,
    eps: f32,
}

impl RmsNorm {
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        path: &str,
        width: i32,
        eps: f32,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            weight: weights.take(&format!("{path}.weight"), &[width], Cut::Whole)?,
            eps,
        })
    }

    pub(crate) fn forward(&self, x: &Array) -> Computed {
        fast::rms_norm(x, Some(&self.weight), self.eps)
    }
}
