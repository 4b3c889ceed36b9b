//! The numbers of a matrix `[out, in]`, or of several `[matrices, out, in]`: dense or quantized.

use mlx_rs::error::Exception;
use mlx_rs::{Array, ops};

use super::{Cut, Projection, filled};
use crate::error::LoadError;
use crate::family::Computed;
use crate::load::{Arranged, ElementType, Kind, Piece, Quantization, Weights};
use crate::ops::{kernels, quantized};

/// A matrix or several, as MLX multiplies by them.
#[derive(Debug)]
pub(crate) enum Weight {
    /// `[.., in, out]`: transposed as it is loaded, which costs nothing (a view).
    Dense(Array),
    /// Packed `[.., out, in * bits / 32]`, with a scale for each group of a row.
    Quantized(Quantized),
}

/// A quantized matrix.
#[derive(Debug)]
pub(crate) struct Quantized {
    /// `[.., out, in * bits / 32]` of u32.
    pub(crate) packed: Array,
    /// `[.., out, in / group_size]`.
    pub(crate) scales: Array,
    /// The same; only of affine ones.
    pub(crate) biases: Option<Array>,
    pub(crate) how: Quantization,
}

/// How matrices become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Together {
    /// Their rows one below the other.
    Below,
    /// One behind the other: `[matrices, out, in]`.
    Behind,
}

impl Weight {
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        projection: &Projection<'_>,
    ) -> Result<Self, LoadError> {
        let stored = Stored::find(weights, projection)?;
        Stored::take(&[stored], Arranged::Along(0), weights)
    }

    /// Loads matrices that lie in the files as `[matrices, in, out]`.
    pub(super) fn load_turned(weights: &mut Weights<'_>, piece: &Piece) -> Result<Self, LoadError> {
        let columns = weights.size(piece)?[1];
        if let Some(how) = weights.held().on_load(&piece.name, columns) {
            return filled::quantized_turned(piece, how, weights);
        }
        let matrices = weights.take_arranged(std::slice::from_ref(piece), Arranged::Along(0))?;
        Ok(Self::Dense(matrices))
    }

    /// Loads several as one; `None` if they are not all of one kind. They are read into their places: none is ever there by
    /// itself.
    pub(super) fn load_together(
        weights: &mut Weights<'_>,
        several: &[Projection<'_>],
        together: Together,
    ) -> Result<Option<Self>, LoadError> {
        let stored = several.iter();
        let stored = stored.map(|projection| Stored::find(weights, projection));
        let stored: Vec<Stored> = stored.collect::<Result<_, _>>()?;
        let mut kinds = Vec::with_capacity(stored.len());
        for one in &stored {
            kinds.push(one.kind(weights)?);
        }
        if kinds.windows(2).any(|pair| pair[0] != pair[1]) {
            return Ok(None);
        }
        let rows = usize::from(several.iter().any(|one| one.experts.is_some()));
        let arranged = match together {
            Together::Below => Arranged::Along(rows),
            Together::Behind => Arranged::Stacked,
        };
        Stored::take(&stored, arranged, weights).map(Some)
    }

    /// A matrix `[.., out, in]`, quantized here.
    pub(super) fn quantized(matrix: &Array, how: Quantization) -> Result<Self, Exception> {
        let [packed, scales, biases] = quantized::quantize(matrix, how)?;
        Ok(Self::Quantized(Quantized {
            packed,
            scales,
            biases: how.mode.has_biases().then_some(biases),
            how,
        }))
    }

    /// Rows on this rank.
    pub(super) fn outputs(&self) -> i32 {
        match self {
            Self::Dense(weight) => weight.dim(-1),
            Self::Quantized(weight) => weight.packed.dim(-2),
        }
    }

    /// `[.., in]` to `[.., out]`.
    pub(crate) fn multiply(&self, x: &Array) -> Computed {
        match self {
            Self::Dense(weight) => ops::matmul(x, weight),
            Self::Quantized(weight) => quantized::matmul(x, weight, true),
        }
    }

    /// The same, added to `onto`, `[.., out]`.
    pub(super) fn multiply_onto(&self, x: &Array, onto: &Array) -> Computed {
        match self {
            Self::Dense(weight) => kernels::product_onto(onto, x, weight),
            Self::Quantized(_) => onto.add(self.multiply(x)?),
        }
    }

    /// The same, added to a bias, `[out]`.
    pub(super) fn multiply_onto_bias(&self, x: &Array, bias: &Array) -> Computed {
        match self {
            Self::Dense(weight) => ops::addmm(bias, x, weight, None, None),
            Self::Quantized(_) => self.multiply(x)?.add(bias),
        }
    }

    /// By the matrices' transposes: `[.., out]` to `[.., in]`.
    pub(crate) fn multiply_back(&self, x: &Array) -> Computed {
        match self {
            Self::Dense(weight) => ops::matmul(x, transposed(weight)?),
            Self::Quantized(weight) => quantized::matmul(x, weight, false),
        }
    }

    /// As [`Linear::forward_chosen`](super::Linear::forward_chosen).
    pub(super) fn multiply_chosen(&self, x: &Array, indices: &Array, sorted: bool) -> Computed {
        // All rows of `x`, one after the other. If they were not said, MLX would count them by an operation.
        let rows = &x.shape()[..x.ndim() - 2];
        let each: Vec<u32> = (0..rows.iter().product::<i32>() as u32).collect();
        let each = Array::from_slice(&each, rows);
        match self {
            Self::Dense(weight) => ops::gather_mm(x, weight, &each, indices, sorted),
            Self::Quantized(weight) => {
                quantized::gather_matmul(x, weight, [&each, indices], sorted)
            }
        }
    }

    /// The rows at `indices`, as an embedding table gives them.
    pub(crate) fn rows(&self, indices: &Array) -> Computed {
        self.chosen_rows(indices)?.dense()
    }

    /// A matrix of its rows at `indices`.
    pub(super) fn chosen_rows(&self, indices: &Array) -> Result<Self, Exception> {
        Ok(match self {
            Self::Dense(weight) => {
                let rows = transposed(weight)?.take_axis(indices, 0)?;
                Self::Dense(transposed(&rows)?)
            }
            Self::Quantized(weight) => {
                Self::Quantized(weight.mapped(|array| array.take_axis(indices, 0))?)
            }
        })
    }

    /// `[.., out, in]`, whatever it is made of.
    pub(crate) fn dense(&self) -> Computed {
        match self {
            Self::Dense(weight) => transposed(weight),
            Self::Quantized(weight) => quantized::dequantize(weight),
        }
    }

    /// The matrices `[count * out, in]` as `[count, out, in]`.
    pub(super) fn parted(&self, count: i32) -> Result<Self, Exception> {
        let parted = |array: &Array| array.reshape(&[count, array.dim(0) / count, array.dim(1)]);
        Ok(match self {
            Self::Dense(weight) => Self::Dense(transposed(&parted(&transposed(weight)?)?)?),
            Self::Quantized(weight) => Self::Quantized(weight.mapped(parted)?),
        })
    }

    /// The rows of several, one below the other; `None` if they are not all of one kind.
    pub(super) fn below_each_other(several: &[&Self]) -> Result<Option<Self>, Exception> {
        let join = |arrays: &[&Array]| ops::concatenate(arrays, -2);
        let mut dense = Vec::with_capacity(several.len());
        let mut quantized = Vec::new();
        for weight in several {
            match weight {
                Self::Dense(weight) => dense.push(transposed(weight)?),
                Self::Quantized(weight) => quantized.push(weight),
            }
        }
        let same = |pair: &[Array]| pair[0].dtype() == pair[1].dtype();
        if quantized.is_empty() && dense.windows(2).all(same) {
            let whole = join(&dense.iter().collect::<Vec<_>>())?;
            return Ok(Some(Self::Dense(transposed(&whole)?)));
        }
        let same = |pair: &[&Quantized]| pair[0].how == pair[1].how;
        if !dense.is_empty() || !quantized.windows(2).all(same) {
            return Ok(None);
        }
        let part = |of: fn(&Quantized) -> Option<&Array>| -> Result<Option<Array>, Exception> {
            let arrays: Vec<&Array> = quantized.iter().filter_map(|weight| of(weight)).collect();
            if arrays.is_empty() {
                return Ok(None);
            }
            join(&arrays).map(Some)
        };
        let (packed, scales) = (
            part(|weight| Some(&weight.packed))?,
            part(|weight| Some(&weight.scales))?,
        );
        let (Some(packed), Some(scales)) = (packed, scales) else {
            return Ok(None);
        };
        Ok(Some(Self::Quantized(Quantized {
            packed,
            scales,
            biases: part(|weight| weight.biases.as_ref())?,
            how: quantized[0].how,
        })))
    }

    /// What it is made of.
    pub(super) fn arrays(&self) -> Vec<&Array> {
        match self {
            Self::Dense(weight) => vec![weight],
            Self::Quantized(weight) => [&weight.packed, &weight.scales]
                .into_iter()
                .chain(&weight.biases)
                .collect(),
        }
    }
}

/// A matrix in the model's files: its numbers, or packed ones, their scales and, if they have any, their biases.
struct Stored {
    kind: Kind,
    tensors: Vec<Piece>,
}

impl Stored {
    fn find(weights: &Weights<'_>, projection: &Projection<'_>) -> Result<Self, LoadError> {
        let &Projection {
            path,
            outputs,
            inputs,
            cut,
            experts,
            ..
        } = projection;
        let rows = usize::from(experts.is_some());
        let piece = |name: &str, last: &[i32]| Piece {
            name: name.to_string(),
            expected: projection.shape(last),
            cut: cut.along(rows, rows + 1),
        };
        let mut name = format!("{path}.weight");
        if experts.is_some() && !weights.has(&name) {
            // Some makers' experts are called by the path alone.
            name = path.to_string();
        }
        let kind = weights.held().kind(path, inputs)?;
        let (Kind::Stored(how) | Kind::OnLoad(how)) = kind else {
            let tensors = vec![piece(&name, &[outputs, inputs])];
            return Ok(Self { kind, tensors });
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
        if let Kind::OnLoad(_) = kind {
            let tensors = vec![piece(&name, &[outputs, inputs])];
            return Ok(Self { kind, tensors });
        }
        let mut tensors = vec![
            piece(&name, &[outputs, inputs / 32 * how.bits]),
            piece(&format!("{path}.scales"), &[outputs, groups]),
        ];
        if how.mode.has_biases() {
            tensors.push(piece(&format!("{path}.biases"), &[outputs, groups]));
        }
        Ok(Self { kind, tensors })
    }

    /// Matrices of one kind can be one.
    fn kind(&self, weights: &Weights<'_>) -> Result<(Kind, Vec<ElementType>), LoadError> {
        let elements = self.tensors.iter();
        let elements = elements.map(|tensor| weights.element(&tensor.name));
        Ok((self.kind, elements.collect::<Result<_, _>>()?))
    }

    /// Reads matrices of one kind as one.
    fn take(
        several: &[Self],
        arranged: Arranged,
        weights: &mut Weights<'_>,
    ) -> Result<Weight, LoadError> {
        let pieces = |at: usize| {
            let tensors = several.iter().filter_map(|one| one.tensors.get(at));
            tensors.cloned().collect::<Vec<Piece>>()
        };
        let kind = several.first().map_or(Kind::Dense, |one| one.kind);
        let how = match kind {
            Kind::Dense => {
                let matrix = weights.take_arranged(&pieces(0), arranged)?;
                return Ok(Weight::Dense(transposed(&matrix)?));
            }
            Kind::OnLoad(how) => {
                return filled::quantized_on_load(&pieces(0), arranged, how, weights);
            }
            Kind::Stored(how) => how,
        };
        let mut take = |at: usize| weights.take_arranged(&pieces(at), arranged);
        Ok(Weight::Quantized(Quantized {
            packed: take(0)?,
            scales: take(1)?,
            biases: how.mode.has_biases().then(|| take(2)).transpose()?,
            how,
        }))
    }
}

impl Quantized {
    /// The same of each of its arrays.
    fn mapped(&self, map: impl Fn(&Array) -> Computed) -> Result<Self, Exception> {
        Ok(Self {
            packed: map(&self.packed)?,
            scales: map(&self.scales)?,
            biases: self.biases.as_ref().map(&map).transpose()?,
            how: self.how,
        })
    }
}

/// With the last two dimensions in each other's place.
fn transposed(matrix: &Array) -> Computed {
    matrix.swap_axes(-1, -2)
}
