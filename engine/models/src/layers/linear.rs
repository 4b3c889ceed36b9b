//! Matrix multiplication by a weight `[out, in]`, dense or quantized, whole or a rank's slice of it.

use mlx_rs::error::Exception;
use mlx_rs::{Array, ops};

use crate::error::LoadError;
use crate::family::Computed;
use crate::load::{Cut, Quantization, Weights};

/// What to load: the whole matrix's shape, and which part of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Projection<'a> {
    /// `model.layers.0.mlp.up_proj`.
    pub(crate) path: &'a str,
    /// Rows of the whole matrix.
    pub(crate) outputs: i32,
    /// Columns of the whole matrix.
    pub(crate) inputs: i32,
    /// Whether there is a bias `[outputs]`.
    pub(crate) bias: bool,
    /// Which part this rank takes. With [`Cut::Columns`] the ranks' results must be summed.
    pub(crate) cut: Cut,
}

/// The matrices of one part of a block (its attention, its MLP), whose names begin alike.
pub(crate) struct PartWeights<'a, 'folder> {
    pub(crate) weights: &'a mut Weights<'folder>,
    /// `model.layers.0.mlp`.
    pub(crate) path: &'a str,
    /// Whether they have biases.
    pub(crate) bias: bool,
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
        let path = format!("{}.{name}", self.path);
        let projection = Projection {
            path: &path,
            outputs,
            inputs,
            bias: self.bias,
            cut,
        };
        Linear::load(self.weights, &projection)
    }
}

/// `x @ weight.T + bias`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Array>,
}

#[derive(Debug)]
pub(crate) enum Weight {
    /// `[in, out]`: transposed as it is loaded, which costs nothing (a view).
    Dense(Array),
    /// MLX affine: packed `[out, in * bits / 32]`, scales and biases `[out, in / group_size]`.
    Quantized {
        packed: Array,
        scales: Array,
        biases: Array,
        how: Quantization,
    },
}

impl Linear {
    pub(super) fn new(weight: Weight, bias: Option<Array>) -> Self {
        Self { weight, bias }
    }

    pub(super) fn weight(&self) -> &Weight {
        &self.weight
    }

    pub(super) fn bias(&self) -> Option<&Array> {
        self.bias.as_ref()
    }

    /// Rows on this rank.
    pub(super) fn outputs(&self) -> i32 {
        match &self.weight {
            Weight::Dense(weight) => weight.dim(1),
            Weight::Quantized { packed, .. } => packed.dim(0),
        }
    }

    fn load(weights: &mut Weights<'_>, projection: &Projection<'_>) -> Result<Self, LoadError> {
        let weight = Weight::load(weights, projection)?;
        let bias = if projection.bias {
            load_bias(weights, projection)?
        } else {
            None
        };
        Ok(Self { weight, bias })
    }

    /// `[tokens, in]` to `[tokens, out]`.
    pub(crate) fn forward(&self, x: &Array) -> Computed {
        let product = self.weight.multiply(x)?;
        match &self.bias {
            Some(bias) => product.add(bias),
            None => Ok(product),
        }
    }
}

impl Weight {
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        projection: &Projection<'_>,
    ) -> Result<Self, LoadError> {
        let &Projection {
            path,
            outputs,
            inputs,
            cut,
            ..
        } = projection;
        let name = format!("{path}.weight");
        let quantized = weights.has(&format!("{path}.scales"));
        let Some(how) = weights.config().quantization(path)?.filter(|_| quantized) else {
            let weight = weights.take(&name, &[outputs, inputs], cut)?;
            return Ok(Self::Dense(weight.transpose_axes(&[1, 0])?));
        };
        let groups = inputs / how.group_size;
        if let Cut::Columns(slice) = cut
            && groups % slice.of as i32 != 0
        {
            let problem = format!("{groups} quantization groups do not divide by {}", slice.of);
            return Err(LoadError::Tensor {
                tensor: name,
                problem,
            });
        }
        Ok(Self::Quantized {
            packed: weights.take(&name, &[outputs, inputs * how.bits / 32], cut)?,
            scales: weights.take(&format!("{path}.scales"), &[outputs, groups], cut)?,
            biases: weights.take(&format!("{path}.biases"), &[outputs, groups], cut)?,
            how,
        })
    }

    /// The rows of several, one below the other; `None` if they are not all of one kind.
    pub(super) fn below_each_other(several: &[&Self]) -> Result<Option<Self>, Exception> {
        let below = |arrays: &[&Array]| ops::concatenate(arrays, 0);
        let mut dense = Vec::with_capacity(several.len());
        let mut quantized = (Vec::new(), Vec::new(), Vec::new());
        let mut ways = Vec::new();
        for weight in several {
            match weight {
                Self::Dense(weight) => dense.push(weight.transpose_axes(&[1, 0])?),
                Self::Quantized {
                    packed,
                    scales,
                    biases,
                    how,
                } => {
                    quantized.0.push(packed);
                    quantized.1.push(scales);
                    quantized.2.push(biases);
                    ways.push(*how);
                }
            }
        }
        let same = dense
            .windows(2)
            .all(|pair| pair[0].dtype() == pair[1].dtype());
        if dense.len() == several.len() && same {
            let whole = below(&dense.iter().collect::<Vec<_>>())?;
            return Ok(Some(Self::Dense(whole.transpose_axes(&[1, 0])?)));
        }
        let same = ways.windows(2).all(|pair| pair[0] == pair[1]);
        if ways.len() < several.len() || !same {
            return Ok(None);
        }
        Ok(Some(Self::Quantized {
            packed: below(&quantized.0)?,
            scales: below(&quantized.1)?,
            biases: below(&quantized.2)?,
            how: ways[0],
        }))
    }

    /// What it is made of.
    pub(super) fn arrays(&self) -> Vec<&Array> {
        match self {
            Self::Dense(weight) => vec![weight],
            Self::Quantized {
                packed,
                scales,
                biases,
                ..
            } => vec![packed, scales, biases],
        }
    }

    pub(crate) fn multiply(&self, x: &Array) -> Computed {
        match self {
            Self::Dense(weight) => ops::matmul(x, weight),
            Self::Quantized {
                packed,
                scales,
                biases,
                how,
            } => ops::quantized_matmul(x, packed, scales, biases, true, how.group_size, how.bits),
        }
    }

    /// The rows at `indices`, as an embedding table gives them.
    pub(crate) fn rows(&self, indices: &Array) -> Computed {
        match self {
            Self::Dense(weight) => weight.transpose_axes(&[1, 0])?.take_axis(indices, 0),
            Self::Quantized {
                packed,
                scales,
                biases,
                how,
            } => ops::dequantize(
                packed.take_axis(indices, 0)?,
                scales.take_axis(indices, 0)?,
                &biases.take_axis(indices, 0)?,
                how.group_size,
                how.bits,
            ),
        }
    }
}

/// A bias follows the rows of its matrix. Where columns are cut the results are summed, so one rank alone adds it.
fn load_bias(
    weights: &mut Weights<'_>,
    projection: &Projection<'_>,
) -> Result<Option<Array>, LoadError> {
    let name = format!("{}.bias", projection.path);
    let cut = match projection.cut {
        Cut::Columns(slice) if slice.index != 0 => return Ok(None),
        Cut::Columns(_) => Cut::Whole,
        cut => cut,
    };
    weights.take(&name, &[projection.outputs], cut).map(Some)
}
