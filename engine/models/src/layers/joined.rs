//! Matrices that multiply the same input, as one: one product instead of several, and its parts.

use mlx_rs::error::{Exception, Result};
use mlx_rs::transforms::eval;
use mlx_rs::{Array, ops};

use super::linear::{Linear, PartWeights, Weight};
use crate::error::LoadError;
use crate::load::Cut;
use crate::ops::slice;

/// `N` matrices with the same number of columns.
#[derive(Debug)]
pub(crate) enum Joined<const N: usize> {
    /// Their rows one below the other, and where those of each end.
    One { linear: Linear, ends: [i32; N] },
    /// They are not of one kind: a checkpoint may quantize each in its own way.
    Apart([Linear; N]),
}

impl<const N: usize> Joined<N> {
    /// Loads this rank's rows of the matrices, each with its name and its rows in all; all have `inputs` columns.
    pub(crate) fn load(
        part: &mut PartWeights<'_, '_>,
        named: [(&str, i32); N],
        inputs: i32,
        rows: Cut,
    ) -> std::result::Result<Self, LoadError> {
        let mut loaded = Vec::with_capacity(N);
        for (name, outputs) in named {
            loaded.push(part.linear(name, outputs, inputs, rows)?);
        }
        Ok(Self::of(loaded)?)
    }

    fn of(loaded: Vec<Linear>) -> Result<Self> {
        let own: Vec<i32> = loaded.iter().map(Linear::outputs).collect();
        if let Some(linear) = join(&loaded)? {
            let ends = std::array::from_fn(|at| own[..=at].iter().sum());
            return Ok(Self::One { linear, ends });
        }
        let apart = loaded.try_into();
        let apart = apart.map_err(|_| Exception::custom("as many matrices as names"));
        Ok(Self::Apart(apart?))
    }

    /// `[tokens, in]` to the `[tokens, out]` of each.
    pub(crate) fn forward(&self, x: &Array) -> Result<[Array; N]> {
        let mut parts = Vec::with_capacity(N);
        match self {
            Self::Apart(linears) => {
                for linear in linears {
                    parts.push(linear.forward(x)?);
                }
            }
            Self::One { linear, ends } => {
                let whole = linear.forward(x)?;
                let mut start = 0;
                for &end in ends {
                    parts.push(slice(&whole, &[(1, start..end)])?);
                    start = end;
                }
            }
        }
        let parts = parts.try_into();
        parts.map_err(|_| Exception::custom("a part for each matrix"))
    }
}

/// All rows one below the other; `None` if the matrices are not of one kind. Computed here and now, so that the single ones
/// do not stay in memory.
fn join(linears: &[Linear]) -> Result<Option<Linear>> {
    let biases: Vec<&Array> = linears.iter().filter_map(Linear::bias).collect();
    let bias = match biases.len() {
        0 => None,
        some if some == linears.len() => Some(ops::concatenate(&biases, 0)?),
        _ => return Ok(None),
    };
    let weights: Vec<&Weight> = linears.iter().map(Linear::weight).collect();
    let Some(weight) = Weight::below_each_other(&weights)? else {
        return Ok(None);
    };
    eval(weight.arrays().into_iter().chain(&bias))?;
    Ok(Some(Linear::new(weight, bias)))
}
