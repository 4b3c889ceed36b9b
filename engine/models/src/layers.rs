//! Parts that families share: projections, norms, rotary embedding, KV cache, attention of one row.
//!
//! Activations are `[tokens, width]`: all rows of a step side by side, whatever sequence they belong to.

mod attention;
mod cache;
mod embedding;
mod ends;
mod linear;
mod norm;
mod parts;
mod rope;

pub(crate) use attention::{AttentionShape, attend};
pub(crate) use cache::{LayerBlock, LayerCache, SlotCache};
pub(crate) use embedding::Embedding;
pub(crate) use ends::{Ends, Table};
pub(crate) use linear::{Linear, PartWeights};
pub(crate) use norm::RmsNorm;
pub(crate) use parts::Parts;
pub(crate) use rope::{Rope, RopeConfig};

/// One row of a step: `tokens` tokens of one sequence, at `first..first + tokens` of the step's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowSpan {
    /// Index of the row's first token in the step.
    pub(crate) first: i32,
    /// Number of its tokens.
    pub(crate) tokens: i32,
    /// Position of its first token in the sequence, which is what the cache holds already.
    pub(crate) position: i32,
}
