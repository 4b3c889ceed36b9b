//! Norms: root mean square (Zhang and Sennrich 2019), and the older one of layers (Ba et al. 2016).

use mlx_rs::{Array, fast};

use crate::error::LoadError;
use crate::family::Computed;
use crate::load::Weights;

/// `x / sqrt(mean(x²) + eps) * weight` over the last dimension.
#[derive(Debug)]
pub(crate) struct RmsNorm {
    weight: Option<Array>,
    eps: f32,
}

/// What a family's norms have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NormKind {
    pub(crate) eps: f32,
    /// Added to the weights as they are stored: 1 where they say how far they are from that.
    pub(crate) offset: f32,
}

impl RmsNorm {
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        path: &str,
        width: i32,
        kind: NormKind,
    ) -> Result<Self, LoadError> {
        let stored = weights.take(&format!("{path}.weight"), &[width], None)?;
        let weight = if kind.offset == 0.0 {
            stored
        } else {
            let offset = Array::from_f32(kind.offset).as_dtype(stored.dtype())?;
            stored.add(offset)?
        };
        Ok(Self::of(weight, kind.eps))
    }

    /// By such weights.
    pub(crate) const fn of(weight: Array, eps: f32) -> Self {
        Self {
            weight: Some(weight),
            eps,
        }
    }

    /// Without weights.
    pub(crate) const fn bare(eps: f32) -> Self {
        Self { weight: None, eps }
    }

    pub(crate) fn forward(&self, x: &Array) -> Computed {
        fast::rms_norm(x, self.weight.as_ref(), self.eps)
    }
}

/// `(x - mean(x)) / sqrt(variance(x) + eps) * weight + bias` over the last dimension.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Array,
    bias: Array,
    eps: f32,
}

impl LayerNorm {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        path: &str,
        width: i32,
        eps: f32,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            weight: weights.take(&format!("{path}.weight"), &[width], None)?,
            bias: weights.take(&format!("{path}.bias"), &[width], None)?,
            eps,
        })
    }

    pub(super) fn forward(&self, x: &Array) -> Computed {
        fast::layer_norm(x, Some(&self.weight), Some(&self.bias), self.eps)
    }
}
