//! [`base::NodeRecord`] and [`base::InstanceRecord`] on the wire.

use base::{Fingerprint, InstanceId, ModelId, NodeId, Secret};
use serde::{Deserialize, Serialize};

use super::NODES_MAX;
use super::card::ModelCard;
use super::draft::DraftModel;
use super::failure::Failure;
use super::shard::{ShardPlan, ShardingChoice};
use crate::codec::{Frame, Invalid};
use crate::collection::{List, Text};
use crate::files::HubRevisionBody;

/// Longest name of a node, or of its hardware, in bytes; longer ones are cut.
const NAME_BYTES_MAX: usize = 256;
/// Longest name of a model in bytes.
pub(super) const MODEL_BYTES_MAX: usize = 1024;
/// Longest path in bytes, what most systems allow.
pub const PATH_BYTES_MAX: usize = 4096;
/// Most shards one node holds.
const SHARDS_MAX: usize = 1024;
/// Most instances one node owns.
const INSTANCES_MAX: usize = 4096;

/// A node's word about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeRecord {
    id: [u8; 32],
    epoch_ms: u64,
    version: u64,
    name: Text<NAME_BYTES_MAX>,
    chip: Text<NAME_BYTES_MAX>,
    memory_total_bytes: u64,
    memory_available_bytes: u64,
    memory_lent_bytes_max: Option<u64>,
    memory_bandwidth_bytes_per_s: Option<u64>,
    links: List<Link, NODES_MAX>,
    owns: List<u64, INSTANCES_MAX>,
    shards: List<LocalShard, SHARDS_MAX>,
    pressure: [Option<Level>; 2],
    activity: List<InstanceActivity, SHARDS_MAX>,
    models: List<[u8; 32], { base::NodeRecord::MODELS_MAX }>,
}

/// See [`base::Level`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Level {
    /// Normal.
    Normal,
    /// Elevated.
    Elevated,
    /// Critical.
    Critical,
}

/// What an instance is doing.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct InstanceActivity {
    instance: u64,
    reading: u32,
    answering: u32,
    waiting: u32,
    tokens_per_1000_s: u64,
    idle_since_ms: Option<u64>,
    expires_ms: Option<u64>,
}

/// See [`base::LinkKind`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum LinkKind {
    /// Loopback.
    Loopback,
    /// Ethernet.
    Ethernet,
    /// Wi-Fi.
    Wifi,
    /// Thunderbolt.
    Thunderbolt,
    /// Something else.
    Other,
}

/// One end of a link.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Link {
    node: [u8; 32],
    round_trip_us: Option<u32>,
    bandwidth_bytes_per_s: Option<u64>,
    kind: Option<LinkKind>,
}

/// A shard as its holder reports it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalShard {
    instance: u64,
    generation: u32,
    plan_tag: u64,
    rank: u32,
    status: ShardStatus,
}

/// How far a shard is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ShardStatus {
    /// Files are looked for and fetched.
    Fetching {
        /// So far.
        bytes_done: u64,
        /// In all.
        bytes_total: u64,
    },
    /// Ports are taken.
    Reserved {
        /// Of the MLX ring.
        ring_port: u16,
        /// Of the step plans.
        plan_port: u16,
    },
    /// Weights are read.
    Loading {
        /// So far.
        bytes_done: u64,
        /// In all.
        bytes_total: u64,
    },
    /// It computes.
    Ready,
    /// It ended.
    Failed(Failure),
}

/// A placed model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstanceRecord {
    id: u64,
    owner: [u8; 32],
    generation: u32,
    version: u64,
    model: Text<MODEL_BYTES_MAX>,
    folder: Text<PATH_BYTES_MAX>,
    fingerprint: [u8; 32],
    origin: Option<HubRevisionBody>,
    card: ModelCard,
    sharding: ShardingChoice,
    node_count: Option<u32>,
    node_ids: List<[u8; 32], NODES_MAX>,
    plan: Option<ShardPlan>,
    phase: InstancePhase,
    secret: [u8; 32],
    on_demand: bool,
    draft: Option<DraftModel>,
}

/// What an owner has decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum InstancePhase {
    /// Runs.
    Placed,
    /// Nothing fits now.
    Waiting(Failure),
    /// Given up.
    Failed(Failure),
    /// Closed.
    Closed,
}

impl From<&base::NodeRecord> for NodeRecord {
    fn from(record: &base::NodeRecord) -> Self {
        Self {
            id: record.id.0,
            epoch_ms: record.epoch_ms,
            version: record.version,
            name: Text::cut(&record.name),
            chip: Text::cut(&record.chip),
            memory_total_bytes: record.memory_total_bytes,
            memory_available_bytes: record.memory_available_bytes,
            memory_lent_bytes_max: record.memory_lent_bytes_max,
            memory_bandwidth_bytes_per_s: record.memory_bandwidth_bytes_per_s,
            links: List::of(&record.links),
            owns: List(record.owns.iter().map(|instance| instance.0).collect()),
            shards: List::of(&record.shards),
            pressure: [record.pressure.thermal, record.pressure.memory]
                .map(|level| level.map(Level::from)),
            activity: List::of(&record.activity),
            models: List(record.models.iter().map(|model| model.0).collect()),
        }
    }
}

impl TryFrom<NodeRecord> for base::NodeRecord {
    type Error = Invalid;

    fn try_from(wire: NodeRecord) -> Result<Self, Invalid> {
        if !wire.links.0.is_sorted_by(|a, b| a.node < b.node) {
            return Err(Invalid("links that do not ascend"));
        }
        if !wire.owns.0.is_sorted_by(|a, b| a < b) {
            return Err(Invalid("instances that do not ascend"));
        }
        if !wire.models.0.is_sorted_by(|a, b| a < b) {
            return Err(Invalid("models that do not ascend"));
        }
        let [thermal, memory] = wire.pressure.map(|level| level.map(base::Level::from));
        Ok(Self {
            id: NodeId(wire.id),
            epoch_ms: wire.epoch_ms,
            version: wire.version,
            name: wire.name.0,
            chip: wire.chip.0,
            memory_total_bytes: wire.memory_total_bytes,
            memory_available_bytes: wire.memory_available_bytes,
            memory_lent_bytes_max: wire.memory_lent_bytes_max,
            memory_bandwidth_bytes_per_s: wire.memory_bandwidth_bytes_per_s,
            links: wire.links.0.into_iter().map(Into::into).collect(),
            owns: wire.owns.0.into_iter().map(InstanceId).collect(),
            shards: wire.shards.each()?,
            pressure: base::Pressure { thermal, memory },
            activity: wire.activity.0.into_iter().map(Into::into).collect(),
            models: wire.models.0.into_iter().map(Fingerprint).collect(),
        })
    }
}

impl From<&base::Link> for Link {
    fn from(link: &base::Link) -> Self {
        Self {
            node: link.node.0,
            round_trip_us: link.round_trip_us,
            bandwidth_bytes_per_s: link.bandwidth_bytes_per_s,
            kind: link.kind.map(LinkKind::from),
        }
    }
}

impl From<Link> for base::Link {
    fn from(wire: Link) -> Self {
        Self {
            node: NodeId(wire.node),
            round_trip_us: wire.round_trip_us,
            bandwidth_bytes_per_s: wire.bandwidth_bytes_per_s,
            kind: wire.kind.map(base::LinkKind::from),
        }
    }
}

impl From<&base::InstanceActivity> for InstanceActivity {
    fn from(activity: &base::InstanceActivity) -> Self {
        Self {
            instance: activity.instance.0,
            reading: activity.reading,
            answering: activity.answering,
            waiting: activity.waiting,
            tokens_per_1000_s: activity.tokens_per_1000_s,
            idle_since_ms: activity.idle_since_ms,
            expires_ms: activity.expires_ms,
        }
    }
}

impl From<InstanceActivity> for base::InstanceActivity {
    fn from(wire: InstanceActivity) -> Self {
        Self {
            instance: InstanceId(wire.instance),
            reading: wire.reading,
            answering: wire.answering,
            waiting: wire.waiting,
            tokens_per_1000_s: wire.tokens_per_1000_s,
            idle_since_ms: wire.idle_since_ms,
            expires_ms: wire.expires_ms,
        }
    }
}

impl From<base::Level> for Level {
    fn from(it: base::Level) -> Self {
        match it {
            base::Level::Normal => Self::Normal,
            base::Level::Elevated => Self::Elevated,
            base::Level::Critical => Self::Critical,
        }
    }
}

impl From<Level> for base::Level {
    fn from(it: Level) -> Self {
        match it {
            Level::Normal => Self::Normal,
            Level::Elevated => Self::Elevated,
            Level::Critical => Self::Critical,
        }
    }
}

impl From<base::LinkKind> for LinkKind {
    fn from(it: base::LinkKind) -> Self {
        match it {
            base::LinkKind::Loopback => Self::Loopback,
            base::LinkKind::Ethernet => Self::Ethernet,
            base::LinkKind::Wifi => Self::Wifi,
            base::LinkKind::Thunderbolt => Self::Thunderbolt,
            base::LinkKind::Other => Self::Other,
        }
    }
}

impl From<LinkKind> for base::LinkKind {
    fn from(it: LinkKind) -> Self {
        match it {
            LinkKind::Loopback => Self::Loopback,
            LinkKind::Ethernet => Self::Ethernet,
            LinkKind::Wifi => Self::Wifi,
            LinkKind::Thunderbolt => Self::Thunderbolt,
            LinkKind::Other => Self::Other,
        }
    }
}

impl From<&base::LocalShard> for LocalShard {
    fn from(shard: &base::LocalShard) -> Self {
        Self {
            instance: shard.instance.0,
            generation: shard.generation,
            plan_tag: shard.plan_tag,
            rank: shard.rank,
            status: ShardStatus::from(&shard.status),
        }
    }
}

impl TryFrom<LocalShard> for base::LocalShard {
    type Error = Invalid;

    fn try_from(wire: LocalShard) -> Result<Self, Invalid> {
        if wire.rank >= NODES_MAX as u32 {
            return Err(Invalid("a rank beyond any world"));
        }
        Ok(Self {
            instance: InstanceId(wire.instance),
            generation: wire.generation,
            plan_tag: wire.plan_tag,
            rank: wire.rank,
            status: wire.status.try_into()?,
        })
    }
}

impl From<&base::ShardStatus> for ShardStatus {
    fn from(status: &base::ShardStatus) -> Self {
        match *status {
            base::ShardStatus::Fetching {
                bytes_done,
                bytes_total,
            } => Self::Fetching {
                bytes_done,
                bytes_total,
            },
            base::ShardStatus::Reserved {
                ring_port,
                plan_port,
            } => Self::Reserved {
                ring_port,
                plan_port,
            },
            base::ShardStatus::Loading {
                bytes_done,
                bytes_total,
            } => Self::Loading {
                bytes_done,
                bytes_total,
            },
            base::ShardStatus::Ready => Self::Ready,
            base::ShardStatus::Failed(ref failure) => Self::Failed(failure.into()),
        }
    }
}

impl TryFrom<ShardStatus> for base::ShardStatus {
    type Error = Invalid;

    fn try_from(wire: ShardStatus) -> Result<Self, Invalid> {
        Ok(match wire {
            ShardStatus::Fetching {
                bytes_done,
                bytes_total,
            } => Self::Fetching {
                bytes_done,
                bytes_total,
            },
            ShardStatus::Reserved {
                ring_port,
                plan_port,
            } => Self::Reserved {
                ring_port,
                plan_port,
            },
            ShardStatus::Loading {
                bytes_done,
                bytes_total,
            } => Self::Loading {
                bytes_done,
                bytes_total,
            },
            ShardStatus::Ready => Self::Ready,
            ShardStatus::Failed(failure) => Self::Failed(failure.try_into()?),
        })
    }
}

impl From<&base::InstanceRecord> for InstanceRecord {
    fn from(record: &base::InstanceRecord) -> Self {
        Self {
            id: record.id.0,
            owner: record.owner.0,
            generation: record.generation,
            version: record.version,
            model: Text::whole(&record.model.0),
            folder: Text::whole(&record.folder),
            fingerprint: record.fingerprint.0,
            origin: record.origin.as_ref().map(Frame::to_body),
            card: ModelCard::from(&record.card),
            sharding: record.sharding.into(),
            node_count: record.node_count,
            node_ids: List(record.node_ids.iter().map(|node| node.0).collect()),
            plan: record.plan.as_ref().map(ShardPlan::from),
            phase: InstancePhase::from(&record.phase),
            secret: record.secret.0,
            on_demand: record.on_demand,
            draft: record.draft.as_ref().map(DraftModel::from),
        }
    }
}

impl TryFrom<InstanceRecord> for base::InstanceRecord {
    type Error = Invalid;

    fn try_from(wire: InstanceRecord) -> Result<Self, Invalid> {
        let origin = wire.origin.map(base::HubRevision::from_body).transpose()?;
        if origin.as_ref().is_some_and(|it| !it.names_a_commit()) {
            return Err(Invalid("a model's origin that is no commit"));
        }
        Ok(Self {
            id: InstanceId(wire.id),
            owner: NodeId(wire.owner),
            generation: wire.generation,
            version: wire.version,
            model: ModelId(wire.model.0),
            folder: wire.folder.0,
            fingerprint: Fingerprint(wire.fingerprint),
            origin,
            card: wire.card.try_into()?,
            sharding: wire.sharding.into(),
            node_count: wire.node_count,
            node_ids: wire.node_ids.0.into_iter().map(NodeId).collect(),
            plan: wire.plan.map(TryInto::try_into).transpose()?,
            phase: wire.phase.try_into()?,
            secret: Secret(wire.secret),
            on_demand: wire.on_demand,
            draft: wire.draft.map(Into::into),
        })
    }
}

impl From<&base::InstancePhase> for InstancePhase {
    fn from(phase: &base::InstancePhase) -> Self {
        match phase {
            base::InstancePhase::Placed => Self::Placed,
            base::InstancePhase::Waiting(failure) => Self::Waiting(failure.into()),
            base::InstancePhase::Failed(failure) => Self::Failed(failure.into()),
            base::InstancePhase::Closed => Self::Closed,
        }
    }
}

impl TryFrom<InstancePhase> for base::InstancePhase {
    type Error = Invalid;

    fn try_from(wire: InstancePhase) -> Result<Self, Invalid> {
        Ok(match wire {
            InstancePhase::Placed => Self::Placed,
            InstancePhase::Waiting(failure) => Self::Waiting(failure.try_into()?),
            InstancePhase::Failed(failure) => Self::Failed(failure.try_into()?),
            InstancePhase::Closed => Self::Closed,
        })
    }
}
