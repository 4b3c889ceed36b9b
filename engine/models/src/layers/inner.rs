//! The first half of a feed-forward part: what is done to tokens before its last matrix.

use mlx_rs::Array;
use mlx_rs::error::Result;

use super::{Activation, Joined, Linear};
use crate::family::Computed;

/// Its matrices.
#[derive(Debug)]
pub(super) enum Inner {
    /// One that is activated, and another by which that is multiplied (Shazeer 2020, arXiv 2002.05202).
    Gated(Joined<2>, Activation),
    /// One alone.
    Plain(Linear, Activation),
}

impl Inner {
    /// `[tokens, hidden]` to `[tokens, inner]`.
    pub(super) fn forward(&self, x: &Array) -> Computed {
        self.activated(|gate_up| gate_up.forward(x), |up| up.forward(x))
    }

    /// The same where each row is for one of several, as [`Linear::forward_chosen`].
    pub(super) fn forward_chosen(&self, x: &Array, indices: &Array, sorted: bool) -> Computed {
        self.activated(
            |gate_up| gate_up.forward_chosen(x, indices, sorted),
            |up| up.forward_chosen(x, indices, sorted),
        )
    }

    fn activated(
        &self,
        both: impl FnOnce(&Joined<2>) -> Result<[Array; 2]>,
        one: impl FnOnce(&Linear) -> Computed,
    ) -> Computed {
        match self {
            Self::Gated(gate_up, activation) => {
                let [gate, up] = both(gate_up)?;
                activation.gated(&gate, &up)
            }
            Self::Plain(up, activation) => activation.of(&one(up)?),
        }
    }
}
