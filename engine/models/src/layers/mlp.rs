//! The feed-forward part of a block.

use mlx_rs::Array;

use super::block::{BlockParts, FeedForward, Onto};
use super::inner::Inner;
use super::{Activation, Joined, Linear, Stored};
use crate::error::LoadError;
use crate::family::Computed;

/// `down(activation(gate(x)) * up(x))`, or without a gate.
#[derive(Debug)]
pub(crate) struct Mlp {
    inner: Inner,
    down: Linear,
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
        let first = match stored {
            _ if !activation.has_gate() => {
                let up = matrices.linear("up_proj", inner, hidden, rows)?;
                Inner::Plain(up, activation)
            }
            Stored::Apart => {
                let gate_up = Joined::load(&mut matrices, names, hidden, rows)?;
                Inner::Gated(gate_up, activation)
            }
            Stored::Together => {
                let outputs = [inner; 2];
                let gate_up =
                    Joined::load_together(&mut matrices, "gate_up_proj", outputs, hidden, rows)?;
                Inner::Gated(gate_up, activation)
            }
        };
        Ok(Self {
            inner: first,
            down: matrices.linear("down_proj", hidden, inner, columns)?,
        })
    }
}

impl FeedForward for Mlp {
    fn forward(&self, x: &Array, onto: Onto<'_>) -> Computed {
        self.down.forward_onto(&self.inner.forward(x)?, onto)
    }
}
