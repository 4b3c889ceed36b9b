//! Which part of a matrix a tensor rank takes.

use base::TensorSlice;

use crate::load::{Along, Part};

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
    /// Its rows from one up to another: a rank's rows of one of several that lie in it.
    Between(i32, i32),
}

impl Cut {
    /// Where that is in a tensor in which these dimensions are the rows and the columns.
    pub(crate) fn along(self, rows: usize, columns: usize) -> Option<Along> {
        let (axis, part) = match self {
            Self::Whole => return None,
            Self::Matrices(slice) => (0, Part::Slice(slice)),
            Self::Rows(slice) => (rows, Part::Slice(slice)),
            Self::Columns(slice) => (columns, Part::Slice(slice)),
            Self::Between(from, to) => (rows, Part::Between(from, to)),
        };
        Some(Along { axis, part })
    }
}
