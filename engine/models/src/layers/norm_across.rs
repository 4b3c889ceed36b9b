//! The norm of a vector of which each tensor rank has a part: queries or keys of all heads together.

use std::rc::Rc;

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype, fast, ops};

use super::block::BlockParts;
use crate::distributed::Group;
use crate::error::LoadError;
use crate::ops::slice;

/// Root-mean-square norms of two vectors, whose ranks sum their squares at once.
#[derive(Debug)]
pub(super) struct NormsAcross {
    /// This rank's.
    weights: [Array; 2],
    /// Elements of all ranks.
    widths: [i32; 2],
    eps: f32,
    group: Rc<Group>,
}

impl NormsAcross {
    pub(super) fn load(
        parts: &mut BlockParts<'_, '_>,
        names: [&str; 2],
        widths: [i32; 2],
    ) -> std::result::Result<Self, LoadError> {
        let own = parts.rows().along(0, 0);
        let mut weight = |name: &str, width| {
            let path = parts.path(&format!("{name}.weight"));
            parts.weights.take(&path, &[width], own)
        };
        Ok(Self {
            weights: [weight(names[0], widths[0])?, weight(names[1], widths[1])?],
            widths,
            eps: parts.norms.eps,
            group: Rc::clone(parts.group),
        })
    }

    /// `[tokens, elements of this rank]` of both.
    pub(super) fn forward(&self, both: [&Array; 2]) -> Result<[Array; 2]> {
        let [a, b] = &self.weights;
        if self.group.size() == 1 {
            let norm = |x: &Array, weight| fast::rms_norm(x, Some(weight), self.eps);
            return Ok([norm(both[0], a)?, norm(both[1], b)?]);
        }
        let squares = |x: &Array| x.as_dtype(Dtype::Float32)?.square()?.sum_axis(-1, true);
        let own = ops::concatenate(&[squares(both[0])?, squares(both[1])?], -1)?;
        let sums = self.group.all_sum(&own)?;
        let normed = |at: usize| {
            let (x, column) = (both[at], at as i32);
            let mean = slice(&sums, &[(1, column..column + 1)])?
                .divide(Array::from_f32(self.widths[at] as f32))?;
            let scale = mean.add(Array::from_f32(self.eps))?.rsqrt()?;
            let scaled = x.as_dtype(Dtype::Float32)?.multiply(scale)?;
            scaled.as_dtype(x.dtype())?.multiply(&self.weights[at])
        };
        Ok([normed(0)?, normed(1)?])
    }
}
