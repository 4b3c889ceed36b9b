//! Who computes what: a plan of shards, one for each rank.

use std::ops::Range;

use crate::{CacheBits, NodeId, QuantizedBits};

/// How a model is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sharding {
    /// Each rank holds a contiguous run of layers.
    Pipeline,
    /// Each rank holds a slice of every layer.
    Tensor,
}

/// How a user asks for a model to be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShardingChoice {
    /// Whatever the planner ranks first.
    Auto,
    /// Only pipelines.
    Pipeline,
    /// Only tensor splits.
    Tensor,
}

/// A model's division; the position in `shards` is the rank.
///
/// Rank 0 drives and samples: in a pipeline it holds the *last* layers, and the highest rank the first ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPlan {
    /// How.
    pub sharding: Sharding,
    /// One shard for each rank; at least one.
    pub shards: Vec<Shard>,
}

/// What one rank holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// On which node.
    pub node: NodeId,
    /// Its layers.
    pub layers: Range<u32>,
    /// Its slice of each of them.
    pub tensor: TensorSlice,
    /// Memory it needs: weights, KV cache for the planned tokens, activations.
    pub bytes: u64,
}

/// Slice `index` of `of` equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorSlice {
    /// From 0.
    pub index: u32,
    /// At least 1; 1 is the whole.
    pub of: u32,
}

impl TensorSlice {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, of: 1 };
}

/// One rank's part of a plan: what its worker needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSpec {
    /// This rank, below `world`. Rank 0 drives and samples.
    pub rank: u32,
    /// Number of ranks, at least 1.
    pub world: u32,
    /// How the model is divided.
    pub sharding: Sharding,
    /// The layers this rank holds.
    pub layers: Range<u32>,
    /// Its slice of each of them.
    pub tensor: TensorSlice,
    /// To how many bits matrices are quantized as they are loaded; `None` leaves them as they lie in the files.
    pub quantize: Option<QuantizedBits>,
    /// To how many bits the caches of layers that see all are quantized; `None` leaves them in the model's own type.
    pub kv_bits: Option<CacheBits>,
}

impl ShardPlan {
    /// Number of ranks.
    pub fn world(&self) -> u32 {
        self.shards.len() as u32
    }

    /// The rank that `node` holds, if any. A node holds at most one rank of a plan.
    pub fn rank_of(&self, node: NodeId) -> Option<u32> {
        self.shards
            .iter()
            .position(|shard| shard.node == node)
            .map(|rank| rank as u32)
    }
}
