//! Which experts a token goes through, and how much each counts.

mod choice_kernel;
mod routing;

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype};

use super::{Linear, RmsNorm};
use choice_kernel::ChoiceKernel;
pub(crate) use routing::{Routing, Score};

/// Chooses experts by a score that a matrix gives each of them.
#[derive(Debug)]
pub(crate) struct Router {
    /// Of what it judges by, where that is not normalized already.
    norm: Option<RmsNorm>,
    gate: Linear,
    how: Routing,
    /// What `how` says in one operation, where there is Metal.
    kernel: Option<ChoiceKernel>,
}

impl Router {
    pub(crate) fn new(gate: Linear, how: Routing) -> Result<Self> {
        let kernel = ChoiceKernel::of(&how, gate.outputs())?;
        Ok(Self {
            norm: None,
            gate,
            how,
            kernel,
        })
    }

    /// The same, with a norm before its matrix.
    pub(crate) fn with_norm(self, norm: RmsNorm) -> Self {
        Self {
            norm: Some(norm),
            ..self
        }
    }

    /// Of `[tokens, hidden]`: the experts of each token, `[tokens, each]` of u32, and their weights, the same of `x`'s type.
    pub(crate) fn choose(&self, x: &Array) -> Result<(Array, Array)> {
        let type_of_weights = x.dtype();
        let (chosen, weights) = self.choose_of(&self.judge(x)?, type_of_weights)?;
        let weights = match &self.how.scales {
            Some(scales) => weights.multiply(scales.take_axis(&chosen, 0)?)?,
            None => weights,
        };
        Ok((chosen, weights.as_dtype(type_of_weights)?))
    }

    /// What the matrix says of each expert, `[tokens, experts]`.
    fn judge(&self, x: &Array) -> Result<Array> {
        let x = match &self.norm {
            Some(norm) => &norm.forward(x)?,
            None => x,
        };
        if self.how.wide {
            self.gate.forward(&x.as_dtype(Dtype::Float32)?)
        } else {
            self.gate.forward(x)
        }
    }

    fn choose_of(&self, said: &Array, type_of_weights: Dtype) -> Result<(Array, Array)> {
        match &self.kernel {
            Some(kernel) => kernel.choose(said, type_of_weights),
            None => self.how.choose(&said.as_dtype(Dtype::Float32)?),
        }
    }
}
