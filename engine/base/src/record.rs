//! What nodes tell each other. Every record has one writer; a higher version replaces a lower one.

use std::fmt;

use crate::{
    Failure, Fingerprint, HubRevision, InstanceActivity, InstanceId, LinkKind, ModelCard, ModelId,
    NodeId, Pressure, ShardPlan, ShardingChoice,
};

/// A node's word about itself. Written by that node alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// The node.
    pub id: NodeId,
    /// Start of this run of the node, milliseconds since 1970: a restarted node's first record beats its old ones.
    pub epoch_ms: u64,
    /// Counts up within an epoch.
    pub version: u64,
    /// The name people gave it.
    pub name: String,
    /// Hardware in words, for example `Apple M3 Ultra`.
    pub chip: String,
    /// Memory installed.
    pub memory_total_bytes: u64,
    /// Memory it would lend to shards now, those it already holds not counted.
    pub memory_available_bytes: u64,
    /// What all its shards together may take, if its user set a limit.
    pub memory_lent_bytes_max: Option<u64>,
    /// How fast its memory can be read, bytes per second, where the node knows; the planner has a cautious guess
    /// for the others.
    pub memory_bandwidth_bytes_per_s: Option<u64>,
    /// The nodes it has a proven link with, ascending by id. Ranks of one plan must all be linked with each other.
    pub links: Vec<Link>,
    /// The instances it owns, those it closed and still remembers included, ascending. A record by this node of an instance that is not here
    /// is a leftover: of an earlier run, or from before it passed to another owner.
    pub owns: Vec<InstanceId>,
    /// The shards it holds or is about to.
    pub shards: Vec<LocalShard>,
    /// What weighs on it.
    pub pressure: Pressure,
    /// What the instances that it drives are doing.
    pub activity: Vec<InstanceActivity>,
    /// The models that lie whole on its disks, ascending, at most [`NodeRecord::MODELS_MAX`]: plans prefer nodes that
    /// need not fetch anything.
    pub models: Vec<Fingerprint>,
}

impl NodeRecord {
    /// Models that a node tells others it has. Whoever has more is asked to fetch what it may have: never a wrong
    /// answer, and 8 KiB of a record are enough.
    pub const MODELS_MAX: usize = 256;
}

/// One end of a link as the node at this end sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The node at the other end.
    pub node: NodeId,
    /// Measured round trip in microseconds; `None` before the first measurement.
    pub round_trip_us: Option<u32>,
    /// Measured, bytes per second from this end to the other; `None` before the measurement.
    pub bandwidth_bytes_per_s: Option<u64>,
    /// What it runs over, if this end knows.
    pub kind: Option<LinkKind>,
}

/// A shard as its holder reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalShard {
    /// Of which instance.
    pub instance: InstanceId,
    /// Of which of the instance's plans.
    pub generation: u32,
    /// Which plan of that generation: after a partition two owners may each have written one. Derived from the
    /// plan's secret, gives nothing of it away.
    pub plan_tag: u64,
    /// Which rank of that plan.
    pub rank: u32,
    /// How far it is.
    pub status: ShardStatus,
}

/// How far a shard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardStatus {
    /// The node makes sure that it has the model's files; it takes ports when it has.
    Fetching {
        /// Bytes that came, of those it lacked.
        bytes_done: u64,
        /// Bytes it lacked; 0 until it knows, or if there are none.
        bytes_total: u64,
    },
    /// The files are there and ports are taken; the worker starts when every rank has got here.
    Reserved {
        /// TCP port of this rank in the MLX ring.
        ring_port: u16,
        /// TCP port on which rank 0 sends step plans; other ranks don't use theirs.
        plan_port: u16,
    },
    /// The worker runs and reads weights.
    Loading {
        /// Bytes read.
        bytes_done: u64,
        /// Bytes to read.
        bytes_total: u64,
    },
    /// The worker computes.
    Ready,
    /// The worker ended or never started.
    Failed(Failure),
}

/// A placed model. Written by its owner alone; the owner is the node that opened it or, when that is gone, the
/// lowest surviving rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRecord {
    /// The instance.
    pub id: InstanceId,
    /// Its writer.
    pub owner: NodeId,
    /// Counts plans, 0 before the first: a record of a higher generation replaces one of a lower, whoever wrote it.
    pub generation: u32,
    /// Counts up within a generation and an owner.
    pub version: u64,
    /// The name to use in requests.
    pub model: ModelId,
    /// Where the model's folder is. Every rank's node checks the fingerprint of what it finds there, so a
    /// folder that differs or is missing is an error, never a wrong answer.
    pub folder: String,
    /// What the model's files must be, tokenizer and samples of the weights included; every node compares it before it
    /// starts a worker.
    pub fingerprint: Fingerprint,
    /// Where the model's files can be fetched from, if they came from a hub: always a commit
    /// ([`HubRevision::names_a_commit`]).
    pub origin: Option<HubRevision>,
    /// The model in numbers, for whoever must plan again.
    pub card: ModelCard,
    /// How the user asked for it to be divided.
    pub sharding: ShardingChoice,
    /// Over how many nodes the user asked for it; `None` leaves it to the planner.
    pub node_count: Option<u32>,
    /// Over which nodes the user asked for it; empty leaves it to the planner.
    pub node_ids: Vec<NodeId>,
    /// Who computes what. Runs only while the phase is `Placed`; in other phases it is the last plan there was.
    pub plan: Option<ShardPlan>,
    /// What the owner has decided about it.
    pub phase: InstancePhase,
    /// With this the ranks prove to each other that they belong to this generation. Never shown.
    pub secret: Secret,
    /// A request asked for it, and could again: it makes room for others before those that a user opened.
    pub on_demand: bool,
    /// The model that drafts for it beside rank 0, if one does.
    pub draft: Option<DraftModel>,
}

/// A small model that guesses what a large one says next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftModel {
    /// Its own name.
    pub model: ModelId,
    /// Where its folder is, as for the large model.
    pub folder: String,
    /// What its files must be.
    pub fingerprint: Fingerprint,
}

/// What an owner has decided about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstancePhase {
    /// `plan` is what should run.
    Placed,
    /// Nothing fits now; placed again when the cluster changes.
    Waiting(Failure),
    /// Given up.
    Failed(Failure),
    /// Closed; kept for a while so that a late record cannot bring it back.
    Closed,
}

/// 32 random bytes that must not be logged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
