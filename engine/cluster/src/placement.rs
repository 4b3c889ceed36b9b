//! Where a model can run: pure search over nodes, orders and splits, memory first, predicted speed second.

mod error;
mod memory;
mod pipeline;
mod problem;
mod rank;
mod speed;
mod tensor;

pub use error::PlacementError;
pub use memory::{
    ACTIVATION_TOKENS, WORKER_BYTES, cache_tokens, draft_cost, planned_cache_tokens, sequences_max,
    shard_bytes,
};
pub(crate) use memory::{held_weights_bytes, with_spare_cache};
pub use problem::{Candidate, NodeCount, Pair, Placement, Problem};
pub use rank::solve;
pub use speed::bandwidth_or_guess;
