//! The embedding table `[vocabulary, hidden]`, and the output head, which may be the same matrix.

use mlx_rs::Array;

use super::{Cut, Projection, Weight};
use crate::error::LoadError;
use crate::family::Computed;
use crate::load::Weights;

/// A table from token to vector, or from vector to logits.
#[derive(Debug)]
pub(crate) struct Embedding {
    weight: Weight,
}

impl Embedding {
    /// Loads `{path}.weight`, whole: ranks copy it.
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        path: &str,
        vocabulary: i32,
        hidden: i32,
    ) -> Result<Self, LoadError> {
        let projection = Projection {
            path,
            experts: None,
            outputs: vocabulary,
            inputs: hidden,
            bias: false,
            cut: Cut::Whole,
        };
        Ok(Self {
            weight: Weight::load(weights, &projection)?,
        })
    }

    /// `[tokens]` to `[tokens, hidden]`.
    pub(crate) fn embed(&self, tokens: &Array) -> Computed {
        self.weight.rows(tokens)
    }

    /// `[tokens, hidden]` to `[tokens, vocabulary]`.
    pub(crate) fn logits(&self, hidden: &Array) -> Computed {
        self.weight.multiply(hidden)
    }
}
