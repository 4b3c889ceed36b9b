//! The question a placement answers, and the answer.

use base::{ModelCard, NodeId, ShardPlan, ShardingChoice};

/// Everything that decides a placement.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The model in numbers.
    pub card: ModelCard,
    /// Tokens of KV cache to make room for, over all sequences.
    pub cache_tokens: u32,
    /// How to divide it.
    pub sharding: ShardingChoice,
    /// Over how many nodes.
    pub nodes: NodeCount,
    /// Over exactly these; empty leaves it to the planner.
    pub node_ids: Vec<NodeId>,
    /// The node that asks: the driving rank is there if nothing speaks against it.
    pub opener: NodeId,
    /// Nodes that already compute for this model elsewhere: a second copy is worth most where there is none.
    pub copies: Vec<NodeId>,
    /// The nodes that can be used.
    pub candidates: Vec<Candidate>,
    /// Which of them are linked with each other; a plan uses only nodes that all are.
    pub links: Vec<Pair>,
}

/// How many nodes a placement may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeCount {
    /// As many as is best.
    Any,
    /// Exactly so many.
    Exactly(u32),
    /// So many or, where they are not there any more, as many as are left: an instance that lost a node goes on.
    Wanted(u32),
}

/// A node that could hold a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The node.
    pub node: NodeId,
    /// Memory it lends, what is promised to other shards taken off, in bytes.
    pub memory_bytes: u64,
    /// Memory it has in all, in bytes; for messages.
    pub memory_total_bytes: u64,
    /// How fast its memory can be read, bytes per second.
    pub bandwidth_bytes_per_s: u64,
    /// The model's files lie on its disks, or it holds a part of the instance that is placed anew: it has little to
    /// fetch, if anything.
    pub has_model: bool,
}

/// Two linked nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// One.
    pub a: NodeId,
    /// The other.
    pub b: NodeId,
    /// Measured round trip in microseconds, if known.
    pub round_trip_us: Option<u32>,
}

/// A way to run the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// Who computes what.
    pub plan: ShardPlan,
    /// Predicted tokens per second of a single request. For ranking: the constants behind it are assumptions.
    pub tokens_per_s: f64,
}
