//! Norms: root mean square (Zhang and Sennrich 2019), and the older one of layers (Ba et al. 2016).

use mlx_rs::error::Result as Done;
use mlx_rs::{Array, Dtype, fast, ops};

use crate::error::LoadError;
use crate::family::Computed;
use crate::load::Weights;
use crate::ops::kernels;

/// `x / sqrt(mean(x²) + eps) * weight` over the last dimension.
#[derive(Debug)]
pub(crate) struct RmsNorm {
    /// And the same times the root of the number of elements.
    weight: Option<(Array, Array)>,
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
        Ok(Self::of(weight, kind.eps)?)
    }

    /// By such weights, `[.., elements]`.
    pub(crate) fn of(weight: Array, eps: f32) -> Done<Self> {
        let root = (weight.dim(-1) as f32).sqrt();
        let longer = weight.multiply(Array::from_f32(root).as_dtype(weight.dtype())?)?;
        Ok(Self {
            weight: Some((weight, longer)),
            eps,
        })
    }

    /// Without weights.
    pub(crate) const fn bare(eps: f32) -> Self {
        Self { weight: None, eps }
    }

    /// Of heads, `[.., heads, 1, elements]`: so many with each norm's weights. All norms have the first one's `eps`.
    pub(crate) fn of_heads(norms: &[(Self, i32); 2]) -> Done<Self> {
        let eps = norms[0].0.eps;
        let weights = norms.iter().filter_map(|(norm, heads)| {
            let (weight, _) = norm.weight.as_ref()?;
            Some(ops::broadcast_to(weight, &[*heads, 1, weight.dim(-1)]))
        });
        let weights = weights.collect::<Done<Vec<Array>>>()?;
        let weight = ops::concatenate(&weights, 0)?;
        weight.eval()?;
        Self::of(weight, eps)
    }

    /// Its weights, if it has any.
    pub(super) fn weight(&self) -> Option<&Array> {
        self.weight.as_ref().map(|(weight, _)| weight)
    }

    /// The same without them.
    pub(super) const fn without_weight(&self) -> Self {
        Self::bare(self.eps)
    }

    /// Of `[.., elements]`.
    pub(crate) fn forward(&self, x: &Array) -> Computed {
        if kernels::are_here() || x.dtype() != Dtype::Float32 {
            return match &self.weight {
                Some((weight, _)) if weight.ndim() > 1 => {
                    fast::rms_norm(x, None, self.eps)?.multiply(weight)
                }
                Some((weight, _)) => fast::rms_norm(x, Some(weight), self.eps),
                None => fast::rms_norm(x, None, self.eps),
            };
        }
        // In fewer operations than MLX takes it apart to: `x / sqrt(sum(x²) + n eps) * (√n weight)`, over `n` elements.
        let elements = x.dim(-1) as f32;
        let sum = x.square()?.sum_axis(-1, true)?;
        let length = sum.add(Array::from_f32(elements * self.eps))?.rsqrt()?;
        let unit = x.multiply(length)?;
        match &self.weight {
            Some((_, longer)) => unit.multiply(longer),
            None => unit.multiply(Array::from_f32(elements.sqrt())),
        }
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
