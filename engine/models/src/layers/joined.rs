//! Matrices that multiply the same input, as one: one product instead of several, and its parts.

use mlx_rs::error::{Exception, Result};
use mlx_rs::transforms::eval;
use mlx_rs::{Array, ops};

use super::linear::Projection;
use super::weight::Together;
use super::{Cut, Linear, PartWeights};
use crate::error::LoadError;
use crate::ops::slice;

/// How a checkpoint has matrices that multiply the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stored {
    /// Each by its name.
    #[default]
    Apart,
    /// In one, below each other.
    Together,
}

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
        let paths = named.map(|(name, _)| part.path(name));
        let each: [Projection<'_>; N] =
            std::array::from_fn(|at| part.projection(&paths[at], named[at].1, inputs, rows));
        if let Some(linear) = Linear::load_together(part.weights, &each, Together::Below)? {
            return Ok(Self::one(linear, each.map(|one| one.rows())));
        }
        let mut loaded = Vec::with_capacity(N);
        for one in &each {
            loaded.push(Linear::load(part.weights, one)?);
        }
        Ok(Self::apart(loaded)?)
    }

    /// Loads this rank's rows of matrices that lie in one, called `name`.
    pub(crate) fn load_together(
        part: &mut PartWeights<'_, '_>,
        name: &str,
        outputs: [i32; N],
        inputs: i32,
        rows: Cut,
    ) -> std::result::Result<Self, LoadError> {
        let Cut::Rows(slice) = rows else {
            let linear = part.linear(name, outputs.iter().sum(), inputs, rows)?;
            return Ok(Self::one(linear, outputs));
        };
        let mut own = Vec::with_capacity(N);
        let mut end = 0;
        for count in outputs {
            let share = count / slice.of as i32;
            let from = end + share * slice.index as i32;
            own.push((from, from + share));
            end += count;
        }
        let linear = part.segments(name, &outputs, inputs, &own)?;
        Ok(Self::one(
            linear,
            outputs.map(|count| count / slice.of as i32),
        ))
    }

    /// Of one with so many rows for each.
    pub(crate) fn one(linear: Linear, outputs: [i32; N]) -> Self {
        let ends = std::array::from_fn(|at| outputs[..=at].iter().sum());
        Self::One { linear, ends }
    }

    /// The same of matrices that were loaded. Computed here and now, so that the single ones do not stay in memory.
    pub(crate) fn of(loaded: Vec<Linear>) -> Result<Self> {
        let own: Vec<i32> = loaded.iter().map(Linear::outputs).collect();
        if let Some(linear) = Linear::below_each_other(&loaded)? {
            eval(linear.arrays())?;
            let ends = std::array::from_fn(|at| own[..=at].iter().sum());
            return Ok(Self::One { linear, ends });
        }
        Self::apart(loaded)
    }

    fn apart(loaded: Vec<Linear>) -> Result<Self> {
        let apart = loaded.try_into();
        let apart = apart.map_err(|_| Exception::custom("as many matrices as names"));
        Ok(Self::Apart(apart?))
    }

    /// `[tokens, in]` to the `[tokens, out]` of each.
    pub(crate) fn forward(&self, x: &Array) -> Result<[Array; N]> {
        self.each(|linear| linear.forward(x))
    }

    /// `[tokens, in]` to the outputs of all, one after the other.
    pub(crate) fn together(&self, x: &Array) -> Result<Array> {
        match self {
            Self::One { linear, .. } => linear.forward(x),
            Self::Apart(_) => ops::concatenate(&self.forward(x)?, -1),
        }
    }

    /// The same where each row is for one of several matrices, as [`Linear::forward_chosen`].
    pub(crate) fn forward_chosen(
        &self,
        x: &Array,
        indices: &Array,
        sorted: bool,
    ) -> Result<[Array; N]> {
        self.each(|linear| linear.forward_chosen(x, indices, sorted))
    }

    fn each(&self, multiply: impl Fn(&Linear) -> Result<Array>) -> Result<[Array; N]> {
        let mut parts = Vec::with_capacity(N);
        match self {
            Self::Apart(linears) => {
                for linear in linears {
                    parts.push(multiply(linear)?);
                }
            }
            Self::One { linear, ends } => {
                let whole = multiply(linear)?;
                let last = whole.ndim() - 1;
                let mut start = 0;
                for &end in ends {
                    parts.push(slice(&whole, &[(last, start..end)])?);
                    start = end;
                }
            }
        }
        let parts = parts.try_into();
        parts.map_err(|_| Exception::custom("a part for each matrix"))
    }
}
