//! What this node should do next. Every action is handed out once.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use base::{
    CacheBits, DraftModel, Fingerprint, HubRevision, InstanceId, InstanceRecord, ModelId, NodeId,
    NodeRecord, QuantizedBits, Secret, ShardSpec, Sharding, TensorSlice,
};

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send a record to a linked member. Nothing is awaited: a link that breaks gets everything again.
    Send {
        /// The member.
        to: NodeId,
        /// What it should know.
        record: Record,
    },
    /// Make sure that the files of a shard are here; answer `Fetching` as they come, then `Prepared` or `WorkerFailed`.
    Prepare(Box<PrepareShard>),
    /// Hold two free TCP ports for a shard; answer `Reserved` or `WorkerFailed`.
    Reserve {
        /// The shard.
        shard: ShardKey,
        /// Its rank.
        rank: u32,
        /// The address of this machine that the MLX ring listens on.
        ring_ip: IpAddr,
        /// The address of this machine that step plans are sent from; only rank 0 listens on it.
        plan_ip: IpAddr,
    },
    /// Release the ports and start the worker; answer `WorkerStarted`, then `Progress` and `WorkerReady`, or
    /// `WorkerFailed` at any time.
    Start(Box<StartShard>),
    /// Leave off fetching, give the ports back or end the worker; answer `Stopped`. Also right when `Prepared` or `WorkerFailed`
    /// crosses it.
    Stop {
        /// The shard.
        shard: ShardKey,
    },
}

/// A record on its way to a member.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// This node's own.
    Node(Box<NodeRecord>),
    /// Of an instance that this node owns.
    Instance(Box<InstanceRecord>),
}

/// Names one shard on this node: of which instance, and of which of its plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardKey {
    /// The instance.
    pub instance: InstanceId,
    /// The generation of its plan.
    pub generation: u32,
    /// Which plan of that generation, see [`base::LocalShard::plan_tag`].
    pub plan_tag: u64,
}

/// What a node has to have before it takes ports for a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareShard {
    /// The shard.
    pub shard: ShardKey,
    /// The name of the model in requests.
    pub model: ModelId,
    /// Where its folder is, on the node that opened it.
    pub folder: String,
    /// What its files must be.
    pub fingerprint: Fingerprint,
    /// Where they can be fetched from, if they came from a hub.
    pub origin: Option<HubRevision>,
    /// The part of the model that is needed here.
    pub spec: ShardSpec,
}

/// What a worker is started with.
#[derive(Debug, Clone, PartialEq)]
pub struct StartShard {
    /// The shard.
    pub shard: ShardKey,
    /// The name of the model in requests, for logs.
    pub model: ModelId,
    /// Where its folder is.
    pub folder: String,
    /// What its files must be.
    pub fingerprint: Fingerprint,
    /// Where they can be fetched from, if they came from a hub.
    pub origin: Option<HubRevision>,
    /// This rank.
    pub rank: u32,
    /// Number of ranks.
    pub world: u32,
    /// How the model is divided.
    pub sharding: Sharding,
    /// The layers of this rank.
    pub layers: Range<u32>,
    /// Its slice of each of them.
    pub tensor: TensorSlice,
    /// To how many bits matrices are quantized as they are loaded.
    pub quantize: Option<QuantizedBits>,
    /// To how many bits the caches of layers that see all are quantized.
    pub kv_bits: Option<CacheBits>,
    /// One address for each rank, for this node's MLX host file. Empty for a single rank.
    pub ring: Vec<SocketAddr>,
    /// Where rank 0 listens for the other ranks (on rank 0 the address to bind). `None` for a single rank.
    pub plan_address: Option<SocketAddr>,
    /// Proves that a rank belongs to this plan.
    pub secret: Secret,
    /// Memory the plan gives to this shard, in bytes.
    pub memory_bytes: u64,
    /// Tokens of KV cache that `memory_bytes` has room for, over all sequences.
    pub cache_tokens: u32,
    /// Sequences for whose states it has room.
    pub sequences_max: u32,
    /// The model that drafts, which rank 0 holds too.
    pub draft: Option<DraftModel>,
}
