//! Experts that see fewer elements than there are (`LatentMoE`, as Nemotron 3 has it): a matrix before them and one after.

use mlx_rs::Array;

use super::block::{BlockParts, FeedForward, Onto};
use super::{Experts, ExpertsShape, Linear, Router, SharedExpert};
use crate::error::LoadError;
use crate::family::Computed;

/// The router and what all tokens go through see everything.
pub(crate) struct LatentExperts {
    down: Linear,
    experts: Experts,
    up: Linear,
    shared: Option<SharedExpert>,
}

impl LatentExperts {
    /// Loads experts of `latent` elements, and the two matrices of these names.
    pub(crate) fn load(
        parts: &mut BlockParts<'_, '_>,
        (shape, latent): (&ExpertsShape<'_>, i32),
        [down, up]: [&str; 2],
        bias: bool,
        router: Router,
        shared: Option<SharedExpert>,
    ) -> Result<Self, LoadError> {
        let hidden = parts.hidden;
        let down = parts.whole(down, [latent, hidden], bias)?;
        let up = parts.whole(up, [hidden, latent], bias)?;
        let experts = Experts::load(&mut parts.of_width(latent), shape, router, None)?;
        Ok(Self {
            down,
            experts,
            up,
            shared,
        })
    }
}

impl FeedForward for LatentExperts {
    fn forward(&self, x: &Array, onto: Onto<'_>) -> Computed {
        let said = self.experts.of_judged(x, &self.down.forward(x)?, None)?;
        let said = self.up.forward_onto(&said, onto)?;
        match &self.shared {
            Some(shared) => shared.forward(x, Some(&said)),
            None => Ok(said),
        }
    }
}
