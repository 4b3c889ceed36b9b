//! Parts that families share: projections, norms, rotary embedding, caches, attention, recurrences,
//! experts.
//!
//! Activations are `[tokens, width]`: all rows of a step side by side, whatever sequence they belong to.

mod activation;
mod attention;
mod block;
mod cache;
mod conv;
mod cut;
mod delta_net;
mod embedding;
mod ends;
mod experts;
mod filled;
mod grouped;
mod indexer;
mod inner;
mod joined;
mod latent_experts;
mod layer_inputs;
mod linear;
mod mamba;
mod mla;
mod mlp;
mod norm;
mod norm_across;
mod placing;
mod reach;
mod recurrence;
mod rope;
mod router;
mod shared;
mod temperature;
mod weight;

pub(crate) use activation::Activation;
pub(crate) use attention::{Scoring, attend};
pub(crate) use block::{
    After, Block, BlockParts, FeedForward, Mixer, Onto, Residual, Unmixed, added,
};
pub(crate) use cache::{
    Before, Beginning, Caches, Memory, Remembered, RowSpan, Run, State, StepCaches, StepLayer,
};
pub(crate) use cut::Cut;
pub(crate) use delta_net::{DeltaShape, GatedDeltaNet};
pub(crate) use embedding::Embedding;
pub(crate) use ends::{Ends, Table};
pub(crate) use experts::{Experts, ExpertsShape, SharedExpert, Weighed};
pub(crate) use grouped::{GroupedAttention, GroupedShape, OutputGate, QueryKeyNorms, Values};
pub(crate) use indexer::IndexerShape;
pub(crate) use joined::{Joined, Stored};
pub(crate) use latent_experts::LatentExperts;
pub(crate) use layer_inputs::{LayerInputGate, LayerInputs, LayerInputsShape};
pub(crate) use linear::{Linear, PartWeights, Projection};
pub(crate) use mamba::{Mamba, MambaShape};
pub(crate) use mla::{LatentAttention, LatentShape};
pub(crate) use mlp::{Mlp, MlpShape};
pub(crate) use norm::{NormKind, RmsNorm};
pub(crate) use reach::Reach;
pub(crate) use rope::{Rope, RopeConfig, RopeScaling};
pub(crate) use router::{Router, Routing, Score};
pub(crate) use shared::SharedAttention;
pub(crate) use temperature::Temperature;
pub(crate) use weight::{Quantized, Weight};
