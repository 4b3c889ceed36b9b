//! Root-mean-square norm (Zhang and Sennrich 2019).

use mlx_rs::error::Result as Done;
use mlx_rs::{Array, Dtype, fast, ops};

use crate::error::LoadError;
use crate::family::Computed;
use crate::load::Weights;
use crate::ops::kernels;

/// `x / sqrt(mean(x²) + eps) * weight` over the last dimension.
#[derive(Debug)]
pub(crate) struct RmsNorm {
    weight: Array,
    eps: f32,
    apart: Apart,
}

/// The same in fewer operations than MLX takes it apart to on a processor: `x / sqrt(sum(x²) + n eps) * (√n weight)`, over
/// `n` elements.
#[derive(Debug)]
struct Apart {
    /// `[1]`.
    eps: Array,
    weight: Array,
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
        Ok(Self::new(weight, kind.eps)?)
    }

    fn new(weight: Array, eps: f32) -> Done<Self> {
        let elements = weight.dim(-1) as f32;
        let apart = Apart {
            eps: Array::from_slice(&[elements * eps], &[1]),
            weight: weight.multiply(Array::from_f32(elements.sqrt()).as_dtype(weight.dtype())?)?,
        };
        Ok(Self { weight, eps, apart })
    }

    /// Of heads, `[.., heads, 1, elements]`: so many with each norm's weights. All norms have the first one's `eps`.
    pub(crate) fn of_heads(norms: &[(Self, i32)]) -> Done<Self> {
        let repeated = norms.iter().map(|(norm, heads)| {
            let elements = norm.weight.dim(-1);
            ops::broadcast_to(&norm.weight, &[*heads, 1, elements])
        });
        let weight = ops::concatenate(&repeated.collect::<Done<Vec<Array>>>()?, 0)?;
        weight.eval()?;
        Self::new(weight, norms[0].0.eps)
    }

    /// Of `[.., elements]`.
    pub(crate) fn forward(&self, x: &Array) -> Computed {
        if kernels::are_here() || x.dtype() != Dtype::Float32 {
            if self.weight.ndim() > 1 {
                return fast::rms_norm(x, None, self.eps)?.multiply(&self.weight);
            }
            return fast::rms_norm(x, Some(&self.weight), self.eps);
        }
        let sum = x.square()?.sum_axis(-1, true)?;
        let length = sum.add(&self.apart.eps)?.rsqrt()?;
        x.multiply(length)?.multiply(&self.apart.weight)
    }
}
