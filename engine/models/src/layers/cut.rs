//! Which part of a matrix a tensor rank takes.

use base::TensorSlice;

use crate::load::Along;

/// A part of a matrix `[out, in]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// All of it.
    Whole,
    /// Some of its rows: whole heads, columns of the MLP.
    Rows(TensorSlice),
    /// Of several matrices, some.
    Matrices(TensorSlice),
    /// Some of its columns: what belongs to those rows of the matrix before.
    Columns(TensorSlice),
}

impl Cut {
    /// Where that is in a tensor in which these dimensions are the rows and the columns.
    pub(crate) fn along(self, rows: usize, columns: usize) -> Option<Along> {
        match self {
            Self::Whole => None,
            Self::Matrices(slice) => Some(Along { axis: 0, slice }),
            Self::Rows(slice) => Some(Along { axis: rows, slice }),
            Self::Columns(slice) => Some(Along {
                axis: columns,
                slice,
            }),
        }
    }
}
