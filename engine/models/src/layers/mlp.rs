//! The gated feed-forward part of a block.

use mlx_rs::Array;

use super::block::{BlockParts, FeedForward};
use super::{Activation, Joined, Linear, Stored};
use crate::error::LoadError;
use crate::family::Computed;

/// `down(activation(gate(x)) * up(x))` (Shazeer 2020, arXiv 2002.05202).
#[derive(Debug)]
pub(crate) struct Mlp {
    gate_up: Joined<2>,
    down: Linear,
    activation: Activation,
}

/// What one looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MlpShape<'a> {
    /// Below the block: `mlp`.
    pub(crate) name: &'a str,
    /// Between the matrices.
    pub(crate) inner: i32,
    pub(crate) bias: bool,
    pub(crate) stored: Stored,
    pub(crate) activation: Activation,
}

impl MlpShape<'_> {
    /// The usual one, called `mlp`.
    pub(crate) const fn silu(inner: i32) -> Self {
        Self {
            name: "mlp",
            inner,
            bias: false,
            stored: Stored::Apart,
            activation: Activation::Silu,
        }
    }
}

impl Mlp {
    pub(crate) fn load(
        parts: &mut BlockParts<'_, '_>,
        shape: &MlpShape<'_>,
    ) -> Result<Self, LoadError> {
        let &MlpShape {
            name,
            inner,
            bias,
            stored,
            activation,
        } = shape;
        let hidden = parts.hidden;
        let rows = parts.rows();
        let columns = parts.columns();
        let mut matrices = parts.part(name, bias);
        let names = [("gate_proj", inner), ("up_proj", inner)];
        let gate_up = match stored {
            Stored::Apart => Joined::load(&mut matrices, names, hidden, rows)?,
            Stored::Together => {
                Joined::load_together(&mut matrices, "gate_up_proj", [inner; 2], hidden, rows)?
            }
        };
        Ok(Self {
            gate_up,
            down: matrices.linear("down_proj", hidden, inner, columns)?,
            activation,
        })
    }
}

impl FeedForward for Mlp {
    fn forward(&self, x: &Array) -> Computed {
        let [gate, up] = self.gate_up.forward(x)?;
        self.down.forward(&self.activation.gated(&gate, &up)?)
    }
}
