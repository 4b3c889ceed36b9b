//! What can happen to a node, as facts. The caller says when; order is the order of `apply`.

use std::net::IpAddr;

use base::{
    DraftModel, Failure, Fingerprint, HubRevision, InstanceActivity, InstanceId, InstanceRecord,
    LinkKind, ModelCard, ModelId, NodeId, NodeRecord, Pressure, Secret, ShardingChoice,
};

use crate::ShardKey;

/// A fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A session with a member is proven in both directions. Its records follow, its own first.
    LinkUp {
        /// The member.
        node: NodeId,
        /// Our address on the way to it.
        local_ip: IpAddr,
        /// Its address.
        remote_ip: IpAddr,
        /// What the link runs over, if that is known.
        kind: Option<LinkKind>,
    },
    /// That session is gone.
    LinkDown {
        /// The member.
        node: NodeId,
    },
    /// This node left the network: it knows nobody any more, and what others own is no longer its business.
    Parted,
    /// The user changed what this node says of itself.
    Changed {
        /// The name people know it by.
        name: String,
        /// What all its shards together may take, in bytes; `None` is whatever is free. Shards that run stay.
        memory_lent_bytes_max: Option<u64>,
    },
    /// A round trip was measured.
    LinkMeasured {
        /// The member at the other end.
        node: NodeId,
        /// Microseconds.
        round_trip_us: u32,
    },
    /// How much a link carries was measured.
    LinkBandwidth {
        /// The member at the other end.
        node: NodeId,
        /// From here to there.
        bytes_per_s: u64,
    },
    /// What weighs on this machine has changed, or not.
    Pressure(Pressure),
    /// What the instances that this node drives are doing has changed, or not.
    Activity(Vec<InstanceActivity>),
    /// The models that lie whole on this node's disks, in any order, have changed, or not. Told are the first
    /// [`NodeRecord::MODELS_MAX`].
    Models(Vec<Fingerprint>),
    /// A node was discovered, member or not.
    Seen(Sighting),
    /// A discovered node is no longer announced.
    Unseen {
        /// The node.
        node: NodeId,
    },
    /// A member's word about itself.
    Node {
        /// Who sent it: only a record about its sender counts.
        from: NodeId,
        /// The record.
        record: Box<NodeRecord>,
    },
    /// An owner's word about its instance.
    Instance {
        /// Who sent it: only a record by its owner counts.
        from: NodeId,
        /// The record.
        record: Box<InstanceRecord>,
    },
    /// This machine's memory was measured. Measure again right after a worker ended: a shard that does not fit into
    /// what is left waits for that before it is refused.
    Memory {
        /// Installed, in bytes.
        total_bytes: u64,
        /// What it would lend to shards now, besides what workers already hold.
        available_bytes: u64,
    },
    /// Someone here asks for an instance. With `limits::INSTANCES_MAX` open ones nothing comes of it: look with
    /// `State::instance` whether it is there.
    Open(Box<OpenInstance>),
    /// Someone here closes an instance, whoever owns it.
    Close {
        /// The instance.
        instance: InstanceId,
    },
    /// Files that this node lacks for a shard come in; until `Prepared` or `WorkerFailed`.
    Fetching {
        /// The shard.
        shard: ShardKey,
        /// Bytes that came, of those it lacked.
        bytes_done: u64,
        /// Bytes it lacked.
        bytes_total: u64,
    },
    /// The files of a shard are here (the answer to `Action::Prepare`).
    Prepared {
        /// The shard.
        shard: ShardKey,
    },
    /// Ports for a shard are held open (the answer to `Action::Reserve`).
    Reserved {
        /// The shard.
        shard: ShardKey,
        /// Port for the MLX ring.
        ring_port: u16,
        /// Port for step plans.
        plan_port: u16,
    },
    /// A shard's worker process runs (the answer to `Action::Start`).
    WorkerStarted {
        /// The shard.
        shard: ShardKey,
    },
    /// A worker read more of its weights.
    Progress {
        /// The shard.
        shard: ShardKey,
        /// Bytes read.
        bytes_done: u64,
        /// Bytes to read.
        bytes_total: u64,
    },
    /// A worker computes.
    WorkerReady {
        /// The shard.
        shard: ShardKey,
    },
    /// A shard's files are not to be had, or its reservation or worker failed: its process is gone, its ports are free.
    WorkerFailed {
        /// The shard.
        shard: ShardKey,
        /// Why. `WorkerLost` means it lost its group or was killed, which is not held against this node.
        failure: Failure,
    },
    /// Everything of a shard is gone (the answer to `Action::Stop`).
    Stopped {
        /// The shard.
        shard: ShardKey,
    },
}

/// A wish for an instance. `id` and `secret` are random and come from the caller, which has the randomness.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenInstance {
    /// Its id.
    pub id: InstanceId,
    /// The name to use in requests.
    pub model: ModelId,
    /// Where the model's folder is.
    pub folder: String,
    /// What the model's files are.
    pub fingerprint: Fingerprint,
    /// Where they can be fetched from; left out if it names no commit.
    pub origin: Option<HubRevision>,
    /// The model in numbers.
    pub card: ModelCard,
    /// How to divide it.
    pub sharding: ShardingChoice,
    /// Over how many nodes; `None` leaves it to the planner.
    pub node_count: Option<u32>,
    /// Over which nodes; empty leaves it to the planner.
    pub node_ids: Vec<NodeId>,
    /// Root of the secrets of its generations.
    pub secret: Secret,
    /// A request asked for it, and could again.
    pub on_demand: bool,
    /// The model that drafts for it, if one does; the card counts it.
    pub draft: Option<DraftModel>,
}

/// A placement that somebody would like to see, or to have.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The model in numbers.
    pub card: ModelCard,
    /// What the model's files are.
    pub fingerprint: Fingerprint,
    /// How to divide it.
    pub sharding: ShardingChoice,
    /// Over how many nodes; `None` leaves it to the planner.
    pub node_count: Option<u32>,
    /// Over which nodes; empty leaves it to the planner.
    pub node_ids: Vec<NodeId>,
}

/// A node as discovery sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Who it says it is.
    pub node: NodeId,
    /// The name people gave it.
    pub name: String,
    /// Why it cannot be linked with, if so: in words for people.
    pub locked: Option<String>,
}
