//! Attention that is the sharper the later a query stands (Llama 4's way; Nakanishi 2025, arXiv 2501.19399, has why).

use mlx_rs::{Array, ops};

use super::StepLayer;
use crate::error::LoadError;
use crate::family::Computed;
use crate::load::Config;

/// Queries are multiplied by `1 + strength * ln(1 + floor((position + first) / every))`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Temperature {
    pub(crate) strength: f32,
    pub(crate) every: f32,
    /// What the first position counts as.
    pub(crate) first: i32,
}

impl Temperature {
    /// Refuses what would make no number of a query.
    pub(crate) fn check(&self, file: &Config) -> Result<(), LoadError> {
        let sound = self.strength.is_finite() && self.every.is_finite() && self.every >= 1.0;
        if sound {
            return Ok(());
        }
        let Self {
            strength, every, ..
        } = self;
        Err(file.problem(&format!(
            "attention is scaled by {strength} every {every} positions"
        )))
    }

    /// Queries `[tokens, heads, 1, head_dim]`, each by the position of its token.
    pub(crate) fn applied(&self, q: Array, cache: &StepLayer<'_>) -> Computed {
        if ((cache.positions_end() - 1 + self.first) as f32) < self.every {
            return Ok(q);
        }
        let counted = cache.positions().add(Array::from_int(self.first))?;
        let steps = ops::floor(counted.divide(Array::from_f32(self.every))?)?;
        let factor = ops::log1p(steps)?
            .multiply(Array::from_f32(self.strength))?
            .add(Array::from_f32(1.0))?;
        q.multiply(factor.reshape(&[-1, 1, 1, 1])?.as_dtype(q.dtype())?)
    }
}
