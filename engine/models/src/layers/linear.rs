//! Matrix multiplication by a weight `[out, in]`, dense or quantized, whole or a rank's slice of it.

use mlx_rs::error::Exception;
use mlx_rs::{Array, ops};

use super::block::{Onto, added};
use super::weight::Together;
use super::{Cut, Weight};
use crate::error::LoadError;
use crate::family::Computed;
use crate::load::{Piece, Weights};

/// What to load: the whole matrix's shape, and which part of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Projection<'a> {
    /// `model.layers.0.mlp.up_proj`.
    pub(crate) path: &'a str,
    /// How many such matrices lie in one tensor, where there are several.
    pub(crate) experts: Option<i32>,
    /// Rows of the whole matrix.
    pub(crate) outputs: i32,
    /// Columns of the whole matrix.
    pub(crate) inputs: i32,
    /// Whether there is a bias `[outputs]`.
    pub(crate) bias: bool,
    /// Which part this rank takes. With [`Cut::Columns`] the ranks' results must be summed.
    pub(crate) cut: Cut,
}

impl Projection<'_> {
    /// The shape of a tensor with these last dimensions.
    pub(super) fn shape(&self, last: &[i32]) -> Vec<i32> {
        self.experts.iter().chain(last).copied().collect()
    }

    /// Rows on this rank.
    pub(super) fn rows(&self) -> i32 {
        match self.cut {
            Cut::Whole | Cut::Matrices(_) | Cut::Columns(_) => self.outputs,
            Cut::Rows(slice) => self.outputs / slice.of as i32,
            Cut::Between(from, to) => to - from,
        }
    }
}

/// `x @ weight.T + bias`, by one matrix or by one of several.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Array>,
}

impl Linear {
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        projection: &Projection<'_>,
    ) -> Result<Self, LoadError> {
        let weight = Weight::load(weights, projection)?;
        let bias = if projection.bias {
            load_bias(weights, projection)?
        } else {
            None
        };
        Ok(Self { weight, bias })
    }

    /// Of matrices that lie in the files as `[.., in, out]`.
    pub(super) fn turned(weights: &mut Weights<'_>, piece: &Piece) -> Result<Self, LoadError> {
        Ok(Self {
            weight: Weight::load_turned(weights, piece)?,
            bias: None,
        })
    }

    /// Rows on this rank.
    pub(super) fn outputs(&self) -> i32 {
        self.weight.outputs()
    }

    /// `[tokens, in]` to `[tokens, out]`.
    pub(crate) fn forward(&self, x: &Array) -> Computed {
        self.forward_onto(x, None)
    }

    /// The same, added to `onto`, `[tokens, out]`.
    pub(crate) fn forward_onto(&self, x: &Array, onto: Onto<'_>) -> Computed {
        match (&self.bias, onto) {
            (Some(bias), _) => added(self.weight.multiply_onto_bias(x, bias)?, onto),
            (None, Some(onto)) => self.weight.multiply_onto(x, onto),
            (None, None) => self.weight.multiply(x),
        }
    }

    /// Of several matrices, the one that each row is for: `[.., 1, in]` to `[.., 1, out]`, by `indices`, which have the
    /// dimensions before or can be broadcast to them. `sorted`: they do not descend.
    pub(crate) fn forward_chosen(&self, x: &Array, indices: &Array, sorted: bool) -> Computed {
        let product = self.weight.multiply_chosen(x, indices, sorted)?;
        match &self.bias {
            Some(bias) => product.add(bias.take_axis(indices, 0)?.expand_dims(-2)?),
            None => Ok(product),
        }
    }

    /// The rows at these places, in their order.
    pub(super) fn chosen_rows(&self, rows: &[i32]) -> Result<Self, Exception> {
        let rows = Array::from_slice(rows, &[rows.len() as i32]);
        let bias = self.bias.as_ref().map(|bias| bias.take_axis(&rows, 0));
        Ok(Self {
            weight: self.weight.chosen_rows(&rows)?,
            bias: bias.transpose()?,
        })
    }

    /// All rows one below the other; `None` if the matrices are not of one kind.
    pub(super) fn below_each_other(several: &[Self]) -> Result<Option<Self>, Exception> {
        let biases: Vec<&Array> = several.iter().filter_map(|one| one.bias.as_ref()).collect();
        let bias = match biases.len() {
            0 => None,
            some if some == several.len() => Some(ops::concatenate(&biases, -1)?),
            _ => return Ok(None),
        };
        let weights: Vec<&Weight> = several.iter().map(|one| &one.weight).collect();
        let weight = Weight::below_each_other(&weights)?;
        Ok(weight.map(|weight| Self { weight, bias }))
    }

    /// Loads several as one; `None` if they are not of one kind.
    pub(super) fn load_together(
        weights: &mut Weights<'_>,
        several: &[Projection<'_>],
        together: Together,
    ) -> Result<Option<Self>, LoadError> {
        let mut biases = Vec::new();
        for projection in several.iter().filter(|one| one.bias) {
            biases.extend(load_bias(weights, projection)?);
        }
        let bias = match biases.len() {
            0 => None,
            some if some < several.len() => return Ok(None),
            _ if together == Together::Below => Some(ops::concatenate(&biases, -1)?),
            _ => Some(ops::stack(&biases, 0)?),
        };
        if let Some(bias) = &bias {
            bias.eval()?;
        }
        let weight = Weight::load_together(weights, several, together)?;
        Ok(weight.map(|weight| Self { weight, bias }))
    }

    /// Matrices `[count * out, in]` without biases as `[count, out, in]`.
    pub(super) fn parted(&self, count: i32) -> Result<Self, Exception> {
        Ok(Self {
            weight: self.weight.parted(count)?,
            bias: None,
        })
    }

    /// What it is made of.
    pub(super) fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.weight.arrays().into_iter().chain(&self.bias)
    }
}

/// A bias follows the rows of its matrix. Where columns are cut the results are summed, so one rank alone adds it.
fn load_bias(
    weights: &mut Weights<'_>,
    projection: &Projection<'_>,
) -> Result<Option<Array>, LoadError> {
    let shape = projection.shape(&[projection.outputs]);
    let name = format!("{}.bias", projection.path);
    let along = match projection.cut {
        Cut::Columns(slice) if slice.index != 0 => return Ok(None),
        Cut::Columns(_) | Cut::Whole => None,
        Cut::Rows(_) | Cut::Between(..) | Cut::Matrices(_) => {
            projection.cut.along(shape.len() - 1, shape.len())
        }
    };
    weights.take(&name, &shape, along).map(Some)
}

/// The matrices of one part of a block (its attention, its MLP), whose names begin alike.
pub(crate) struct PartWeights<'a, 'folder> {
    pub(crate) weights: &'a mut Weights<'folder>,
    /// `model.layers.0.mlp`.
    pub(crate) path: String,
    /// Whether they have biases.
    pub(crate) bias: bool,
    /// How many of each there are in a tensor, if there are several.
    pub(crate) experts: Option<i32>,
}

impl PartWeights<'_, '_> {
    /// Loads this rank's `cut` of the matrix `name`, which has `outputs` rows and `inputs` columns.
    pub(crate) fn linear(
        &mut self,
        name: &str,
        outputs: i32,
        inputs: i32,
        cut: Cut,
    ) -> Result<Linear, LoadError> {
        let path = self.path(name);
        let projection = self.projection(&path, outputs, inputs, cut);
        Linear::load(self.weights, &projection)
    }

    /// Loads the rows `cuts` of the matrix `name`, which is made of `segments` of so many rows; one cut of each.
    pub(crate) fn segments(
        &mut self,
        name: &str,
        segments: &[i32],
        inputs: i32,
        cuts: &[(i32, i32)],
    ) -> Result<Linear, LoadError> {
        let (path, outputs) = (self.path(name), segments.iter().sum());
        let own: Vec<Projection<'_>> = cuts
            .iter()
            .map(|&(from, to)| self.projection(&path, outputs, inputs, Cut::Between(from, to)))
            .collect();
        let joined = Linear::load_together(self.weights, &own, Together::Below)?;
        let joined = joined.ok_or_else(|| Exception::custom("one matrix of several kinds"))?;
        Ok(joined)
    }

    /// The full name of a matrix.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    /// The matrix at `path`.
    pub(super) const fn projection<'p>(
        &self,
        path: &'p str,
        outputs: i32,
        inputs: i32,
        cut: Cut,
    ) -> Projection<'p> {
        Projection {
            path,
            experts: self.experts,
            outputs,
            inputs,
            bias: self.bias,
            cut,
        }
    }
}
