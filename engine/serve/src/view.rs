//! The cluster as `serve` shows it. Plain data that `node` fills in; the admin API has its own JSON for it.

use std::ops::Range;

use base::{
    CacheBits, Failure, Fingerprint, InstanceActivity, InstanceId, LinkKind, ModelId, NodeId,
    Pressure, QuantizedBits, Sharding, TensorSlice,
};

/// Everything there is to see.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterView {
    /// The node whose view this is.
    pub node_id: NodeId,
    /// This node first, then the others by id.
    pub nodes: Vec<NodeView>,
    /// Links between nodes that are online.
    pub links: Vec<LinkView>,
    /// Instances that are not closed, by id.
    pub instances: Vec<InstanceView>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// The name people gave it.
    pub name: String,
    /// Hardware in words; empty if not known.
    pub chip: String,
    /// Whether it takes part.
    pub state: NodeState,
    /// Memory installed, in bytes; 0 if not known.
    pub memory_total_bytes: u64,
    /// Memory it lends to shards, in bytes; 0 for one that is not online.
    pub memory_available_bytes: u64,
    /// What weighs on it.
    pub pressure: Pressure,
}

/// Whether a node takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeState {
    /// A member, linked with this node.
    Online,
    /// Seen on the network, but not a member: why, in words.
    Locked(String),
    /// Was a member, is gone for now.
    Lost,
}

/// A link between two nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    /// One end.
    pub a: NodeId,
    /// The other.
    pub b: NodeId,
    /// Measured round trip in microseconds, if known.
    pub round_trip_us: Option<u32>,
    /// Measured, bytes per second, if known.
    pub bandwidth_bytes_per_s: Option<u64>,
    /// What it runs over, if that is known.
    pub kind: Option<LinkKind>,
}

/// An instance: one model placed on the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceView {
    /// Its id.
    pub id: InstanceId,
    /// The name to use in requests.
    pub model: ModelId,
    /// What the model's files are.
    pub fingerprint: Fingerprint,
    /// To how many bits its matrices were quantized as they were loaded.
    pub quantize: Option<QuantizedBits>,
    /// To how many bits the caches of layers that see all are quantized.
    pub kv_bits: Option<CacheBits>,
    /// The model that drafts for it, if one does.
    pub draft: Option<ModelId>,
    /// Longest prompt and answer together that it takes, in tokens.
    pub context_tokens: u32,
    /// The node that decides about it.
    pub owner: NodeId,
    /// The number of its plan; 0 before the first.
    pub generation: u32,
    /// How it is divided; `None` before its first plan.
    pub sharding: Option<Sharding>,
    /// How it is.
    pub state: InstanceState,
    /// Why it failed, or what it waits for.
    pub failure: Option<Failure>,
    /// Bytes of weights read and to be read by the workers that load now; both 0 when none does.
    pub loading_bytes: (u64, u64),
    /// One for each rank, in rank order; of the last plan if none is in force.
    pub shards: Vec<ShardView>,
    /// What it is doing; `None` if the node that drives it has said nothing yet.
    pub activity: Option<InstanceActivity>,
    /// A request asked for it; otherwise a user opened it.
    pub on_demand: bool,
    /// When it is unloaded if nobody asks it anything, milliseconds since 1970; `None` while somebody does, and if it
    /// stays.
    pub expires_unix_ms: Option<u64>,
}

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Nodes are being chosen. With a failure: nothing fits now, it waits for more.
    Placing,
    /// A node fetches the model's files.
    Downloading,
    /// Workers read weights.
    Loading,
    /// It answers.
    Ready,
    /// A part was lost and is being replaced. With a failure: nothing fits now, it waits for more.
    Mending,
    /// Given up.
    Failed,
}

/// What one rank holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardView {
    /// On which node.
    pub node: NodeId,
    /// Its rank; rank 0 drives and holds a pipeline's last layers.
    pub rank: u32,
    /// Its layers.
    pub layers: Range<u32>,
    /// Its slice of each of them.
    pub tensor: TensorSlice,
    /// Memory planned for it, in bytes.
    pub bytes: u64,
    /// Bytes of files that came and that were missing, while its node fetches them.
    pub fetching_bytes: Option<(u64, u64)>,
}
