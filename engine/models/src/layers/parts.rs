//! What all layers of a rank share.

use std::rc::Rc;

use base::TensorSlice;

use super::Rope;
use crate::load::Cut;

/// This rank's slice of each matrix, and the rotary embedding.
pub(crate) struct Parts {
    pub(crate) slice: TensorSlice,
    pub(crate) rope: Rc<Rope>,
}

impl Parts {
    /// Whole heads, or columns of the MLP: rows of the first matrix of a pair.
    pub(crate) fn rows(&self) -> Cut {
        if self.slice.of == 1 {
            Cut::Whole
        } else {
            Cut::Rows(self.slice)
        }
    }

    /// The columns of the second matrix of a pair that belong to those rows.
    pub(crate) fn columns(&self) -> Cut {
        if self.slice.of == 1 {
            Cut::Whole
        } else {
            Cut::Columns(self.slice)
        }
    }
}
