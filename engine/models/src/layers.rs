//! Parts that families share: projections, norms, rotary embedding, KV caches, attention.
//!
//! Activations are `[tokens, width]`: all rows of a step side by side, whatever sequence they belong to.

mod attention;
mod cache;
mod embedding;
mod ends;
mod joined;
mod linear;
mod norm;
mod parts;
mod rope;

pub(crate) use attention::{AttentionShape, attend};
pub(crate) use cache::{Caches, KeysValues, RowSpan, Run, StepCaches, StepLayer};
pub(crate) use embedding::Embedding;
pub(crate) use ends::{Ends, Table};
pub(crate) use joined::Joined;
pub(crate) use linear::{Linear, PartWeights};
pub(crate) use norm::RmsNorm;
pub(crate) use parts::Parts;
pub(crate) use rope::{Rope, RopeConfig};
