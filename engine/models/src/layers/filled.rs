//! Matrices that are quantized part by part as they are read, so that what they were made of is never there as a whole.

use mlx_rs::error::Result;
use mlx_rs::transforms::eval;
use mlx_rs::{Array, ops};

use super::Weight;
use super::weight::Quantized;
use crate::error::LoadError;
use crate::load::{Arranged, Piece, Quantization, Weights};
use crate::ops::{quantized, slice_update};

/// Read at once: little beside a model, and enough for a disk and a device to be busy.
const PART_BYTES: i64 = 256 << 20;

/// `[matrices, rows, columns]`, of which some are there.
pub(super) struct Filled {
    how: Quantization,
    matrices: i32,
    rows: i32,
    /// Packed, scales, biases.
    arrays: Option<[Array; 3]>,
}

impl Filled {
    pub(super) const fn new(how: Quantization, matrices: i32, rows: i32) -> Self {
        Self {
            how,
            matrices,
            rows,
            arrays: None,
        }
    }

    /// Reads matrices, rows and columns of a piece, which belong to this matrix and those after it, from this row on.
    fn read(
        &mut self,
        piece: &Piece,
        [matrices, rows, columns]: [i32; 3],
        [first, before]: [i32; 2],
        weights: &mut Weights<'_>,
    ) -> std::result::Result<(), LoadError> {
        let element_bytes = weights.element(&piece.name)?.held().bytes();
        let row_bytes = i64::from(columns) * element_bytes as i64;
        let together = (PART_BYTES / row_bytes.max(1)).clamp(1, i64::from(rows.max(1))) as i32;
        for matrix in 0..matrices {
            for row in (0..rows).step_by(together as usize) {
                let own = row..(row + together).min(rows);
                let dense = weights.take_rows(piece, matrix, own)?;
                weights.kept(self.put(first + matrix, before + row, &dense)?);
            }
        }
        Ok(())
    }

    /// Quantizes `[rows, columns]`, which belong to a matrix from a row on. Returns the bytes that it takes from now on.
    pub(super) fn put(&mut self, matrix: i32, row: i32, dense: &Array) -> Result<u64> {
        let made = quantized::quantize(dense, self.how)?;
        let made = made.map(|array| array.expand_dims(0));
        let [packed, scales, biases] = made;
        let made = [packed?, scales?, biases?];
        let arrays = match self.arrays.take() {
            None if self.matrices == 1 && self.rows == dense.dim(0) => made,
            before => self.placed(before, &made, matrix, row)?,
        };
        eval(&arrays)?;
        let bytes = made_bytes(&arrays, self.matrices * self.rows, dense.dim(0));
        self.arrays = Some(arrays);
        Ok(bytes)
    }

    /// What is there, with what was made in its place. Nobody else holds what was there, so MLX changes it where it is.
    fn placed(
        &self,
        before: Option<[Array; 3]>,
        made: &[Array; 3],
        matrix: i32,
        row: i32,
    ) -> Result<[Array; 3]> {
        let all = |made: &Array| {
            let shape = [self.matrices, self.rows, made.dim(2)];
            ops::zeros_dtype(&shape, made.dtype())
        };
        let before = match before {
            Some(before) => before,
            None => [all(&made[0])?, all(&made[1])?, all(&made[2])?],
        };
        let place = |before: &Array, made: &Array| {
            let along = [(0, matrix..matrix + 1), (1, row..row + made.dim(1))];
            slice_update(before, made, &along)
        };
        Ok([
            place(&before[0], &made[0])?,
            place(&before[1], &made[1])?,
            place(&before[2], &made[2])?,
        ])
    }

    /// All of it: `[matrices, rows, columns]`, or `[rows, columns]` of one that stands for itself.
    pub(super) fn weight(self, stacked: bool) -> Result<Weight> {
        let arrays = self.arrays.ok_or("matrices without rows")?;
        let shaped = |array: &Array| {
            if stacked {
                Ok(array.clone())
            } else {
                array.squeeze_axes(&[0])
            }
        };
        let [packed, scales, biases] = arrays.each_ref().map(shaped);
        Ok(Weight::Quantized(Quantized {
            packed: packed?,
            scales: scales?,
            biases: Some(biases?),
            how: self.how,
        }))
    }
}

/// Bytes of so many of all rows.
fn made_bytes(arrays: &[Array; 3], rows: i32, made: i32) -> u64 {
    let bytes: usize = arrays.iter().map(Array::nbytes).sum();
    bytes as u64 / rows.max(1) as u64 * made as u64
}

/// Reads and quantizes pieces of dense matrices as one.
pub(super) fn quantized_on_load(
    pieces: &[Piece],
    arranged: Arranged,
    how: Quantization,
    weights: &mut Weights<'_>,
) -> std::result::Result<Weight, LoadError> {
    let sizes = pieces.iter().map(|piece| weights.size(piece));
    let sizes: Vec<[i32; 3]> = sizes.collect::<std::result::Result<_, _>>()?;
    let [matrices, rows, _] = sizes.first().copied().unwrap_or_default();
    let is_stacked = arranged == Arranged::Stacked;
    let mut filled = if is_stacked {
        Filled::new(how, sizes.len() as i32, rows)
    } else {
        Filled::new(how, matrices, sizes.iter().map(|[_, rows, _]| rows).sum())
    };
    let mut at = [0, 0];
    for (piece, size) in pieces.iter().zip(sizes) {
        filled.read(piece, size, at, weights)?;
        let [matrix, row] = &mut at;
        if is_stacked {
            *matrix += 1;
        } else {
            *row += size[1];
        }
    }
    let has_several = is_stacked || pieces.iter().any(|piece| piece.expected.len() > 2);
    Ok(filled.weight(has_several)?)
}

/// The same of one piece whose matrices lie there as `[in, out]`.
pub(super) fn quantized_turned(
    piece: &Piece,
    how: Quantization,
    weights: &mut Weights<'_>,
) -> std::result::Result<Weight, LoadError> {
    let [matrices, columns, rows] = weights.size(piece)?;
    let mut filled = Filled::new(how, matrices, rows);
    for matrix in 0..matrices {
        let dense = weights.take_rows(piece, matrix, 0..columns)?;
        weights.kept(filled.put(matrix, 0, &dense.swap_axes(0, 1)?)?);
    }
    Ok(filled.weight(true)?)
}
