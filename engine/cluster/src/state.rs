//! What a node knows. A value: cloning it is a snapshot, comparing two is a test.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use base::{
    Failure, InstanceId, InstanceRecord, Link, LinkKind, LocalShard, NodeId, NodeRecord, Pressure,
    ShardStatus,
};

use crate::{Event, Problem, ShardKey, Sighting, limits};

/// Who this node is, said once at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSeed {
    /// Its id.
    pub id: NodeId,
    /// Its start, milliseconds since 1970.
    pub epoch_ms: u64,
    /// The name people gave it.
    pub name: String,
    /// Hardware in words.
    pub chip: String,
    /// Memory installed, in bytes.
    pub memory_total_bytes: u64,
    /// Memory it would lend to shards now, in bytes.
    pub memory_available_bytes: u64,
    /// What all its shards together may take, in bytes, if its user set a limit.
    pub memory_lent_bytes_max: Option<u64>,
    /// How fast its memory can be read, bytes per second, if known.
    pub memory_bandwidth_bytes_per_s: Option<u64>,
}

/// Everything a node knows of the cluster and of its own workers.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub(crate) me: NodeRecord,
    pub(crate) peers: BTreeMap<NodeId, Peer>,
    pub(crate) sightings: BTreeMap<NodeId, Sighting>,
    pub(crate) instances: BTreeMap<InstanceId, Instance>,
    /// What live members say of instances and does not count, because another says more. By instance and owner.
    pub(crate) rivals: BTreeMap<(InstanceId, NodeId), InstanceRecord>,
    pub(crate) workers: BTreeMap<ShardKey, Worker>,
    /// What this node lends, as last measured; its record follows only coarsely.
    pub(crate) measured_bytes: u64,
    /// A worker has ended since, so more may be free than was measured.
    pub(crate) is_measure_old: bool,
    /// When this node's record last changed; loading progress is told only so often.
    pub(crate) told_ms: u64,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Peer {
    pub(crate) record: Option<NodeRecord>,
    pub(crate) link: Option<LinkEnds>,
    /// Its record came in since the link is up, so what it says of itself holds now.
    pub(crate) heard: bool,
    /// What it said before our end of the link was up: taken in then.
    pub(crate) early: Vec<Event>,
    pub(crate) lost_ms: Option<u64>,
    /// Ports of its shards. Kept apart from its record, which stops naming them once a worker runs, while a
    /// slower rank still needs them.
    pub(crate) ports: BTreeMap<ShardKey, Ports>,
    pub(crate) unsent: BTreeSet<Unsent>,
}

/// The two ends of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkEnds {
    pub(crate) local_ip: IpAddr,
    pub(crate) remote_ip: IpAddr,
    pub(crate) round_trip_us: Option<u32>,
    pub(crate) bandwidth_bytes_per_s: Option<u64>,
    pub(crate) kind: Option<LinkKind>,
}

/// The ports of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) ring: u16,
    pub(crate) plan: u16,
}

/// A record a member has not been sent yet. This node's own goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unsent {
    Node,
    Instance(InstanceId),
}

/// An instance and what this node remembers about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Instance {
    pub(crate) record: InstanceRecord,
    pub(crate) plan_tag: u64,
    /// Since when it has no owner.
    pub(crate) ownerless_ms: Option<u64>,
    pub(crate) closed_ms: Option<u64>,
    /// What only its owner keeps; fresh after a change of owner.
    pub(crate) care: Care,
}

/// An owner's memory of how an instance fares.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Care {
    /// One entry for each rank of the current plan.
    pub(crate) ranks: Vec<Watched>,
    /// Since when all ranks of the current plan have their ports, or had them.
    pub(crate) reserved_ms: Option<u64>,
    /// Since when all ranks of the current plan are ready.
    pub(crate) ready_ms: Option<u64>,
    /// Failures in a row.
    pub(crate) failures: u32,
    pub(crate) strikes: BTreeMap<NodeId, Strikes>,
    /// The last problem without a solution: not tried again until it differs.
    pub(crate) unsolved: Option<Box<Problem>>,
}

/// What was last heard of a rank, and when that changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Watched {
    pub(crate) status: Option<ShardStatus>,
    /// It had its ports once: that it is not there any more means it is lost, not late.
    pub(crate) seen: bool,
    pub(crate) since_ms: u64,
}

/// What is held against a node for one instance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Strikes {
    pub(crate) epoch_ms: u64,
    /// The least it lent since.
    pub(crate) available_bytes: u64,
    pub(crate) count: u32,
    pub(crate) last: Failure,
}

/// A shard on this node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Worker {
    pub(crate) rank: u32,
    /// Memory planned for it.
    pub(crate) bytes: u64,
    pub(crate) stage: Stage,
}

/// How far a shard on this node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    Preparing {
        bytes_done: u64,
        bytes_total: u64,
    },
    /// The files are here; it takes ports as soon as the links are there that tell which.
    Prepared,
    Reserving,
    Reserved(Ports),
    Starting(Ports),
    Loading {
        bytes_done: u64,
        bytes_total: u64,
    },
    Ready,
    Failed(Failure),
    /// Failed before it was started, so its ports are still held.
    Refused(Failure),
    Stopping,
}

impl State {
    /// A node that knows only itself.
    pub fn new(seed: NodeSeed) -> Self {
        Self {
            me: NodeRecord {
                id: seed.id,
                epoch_ms: seed.epoch_ms,
                version: 1,
                name: seed.name,
                chip: seed.chip,
                memory_total_bytes: seed.memory_total_bytes,
                memory_available_bytes: seed.memory_available_bytes,
                memory_lent_bytes_max: seed.memory_lent_bytes_max,
                memory_bandwidth_bytes_per_s: seed.memory_bandwidth_bytes_per_s,
                links: Vec::new(),
                owns: Vec::new(),
                shards: Vec::new(),
                pressure: Pressure::default(),
                activity: Vec::new(),
                models: Vec::new(),
            },
            peers: BTreeMap::new(),
            sightings: BTreeMap::new(),
            instances: BTreeMap::new(),
            rivals: BTreeMap::new(),
            workers: BTreeMap::new(),
            measured_bytes: seed.memory_available_bytes,
            is_measure_old: false,
            told_ms: 0,
        }
    }

    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.me.id
    }

    /// What this node tells others of itself.
    pub fn node_record(&self) -> &NodeRecord {
        &self.me
    }

    /// An instance's record; `None` if it was never heard of or is forgotten.
    pub fn instance(&self, id: InstanceId) -> Option<&InstanceRecord> {
        self.instances.get(&id).map(|instance| &instance.record)
    }
}

impl Peer {
    /// When it is forgotten, if it stays lost.
    pub(crate) fn forget_ms(&self) -> Option<u64> {
        Some(self.lost_ms? + limits::LOST_NODE_MS)
    }

    /// Its record, if it is linked and has spoken since.
    pub(crate) fn live_record(&self) -> Option<&NodeRecord> {
        match &self.link {
            Some(_) if self.heard => self.record.as_ref(),
            _ => None,
        }
    }
}

impl Worker {
    /// What other nodes are told about it; nothing while its ports are taken and once it is being stopped.
    pub(crate) fn status(&self) -> Option<ShardStatus> {
        match &self.stage {
            Stage::Prepared | Stage::Reserving | Stage::Stopping => None,
            Stage::Preparing {
                bytes_done,
                bytes_total,
            } => Some(ShardStatus::Fetching {
                bytes_done: *bytes_done,
                bytes_total: *bytes_total,
            }),
            Stage::Reserved(ports) | Stage::Starting(ports) => Some(ShardStatus::Reserved {
                ring_port: ports.ring,
                plan_port: ports.plan,
            }),
            Stage::Loading {
                bytes_done,
                bytes_total,
            } => Some(ShardStatus::Loading {
                bytes_done: *bytes_done,
                bytes_total: *bytes_total,
            }),
            Stage::Ready => Some(ShardStatus::Ready),
            Stage::Failed(failure) | Stage::Refused(failure) => {
                Some(ShardStatus::Failed(failure.clone()))
            }
        }
    }

    pub(crate) fn local_shard(&self, key: ShardKey) -> Option<LocalShard> {
        Some(LocalShard {
            instance: key.instance,
            generation: key.generation,
            plan_tag: key.plan_tag,
            rank: self.rank,
            status: self.status()?,
        })
    }
}

impl Instance {
    /// Names the shards of its current plan.
    pub(crate) fn shard_key(&self) -> ShardKey {
        ShardKey {
            instance: self.record.id,
            generation: self.record.generation,
            plan_tag: self.plan_tag,
        }
    }
}

impl ShardKey {
    /// The key of a shard that a node reports.
    pub(crate) fn of(shard: &LocalShard) -> Self {
        Self {
            instance: shard.instance,
            generation: shard.generation,
            plan_tag: shard.plan_tag,
        }
    }
}

impl LinkEnds {
    pub(crate) fn link(&self, node: NodeId) -> Link {
        Link {
            node,
            round_trip_us: self.round_trip_us,
            bandwidth_bytes_per_s: self.bandwidth_bytes_per_s,
            kind: self.kind,
        }
    }
}
