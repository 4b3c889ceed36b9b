//! The cluster as people and programs see it. A view only: nothing is decided from it.

use std::ops::Range;

use base::{
    CacheBits, DraftModel, ErrorCode, Failure, Fingerprint, HubRevision, InstanceActivity,
    InstanceId, InstancePhase, LinkKind, ModelId, NodeId, NodeRecord, Pressure, QuantizedBits,
    ShardStatus, Sharding, TensorSlice,
};

use crate::decide;
use crate::placement::Pair;
use crate::placement::{cache_tokens, planned_cache_tokens};
use crate::state::{Instance, State};

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
    /// Hardware in words; empty for a locked node.
    pub chip: String,
    /// Whether it takes part.
    pub state: NodeState,
    /// Memory installed, in bytes; 0 for a locked node.
    pub memory_total_bytes: u64,
    /// Memory it lends, in bytes; 0 for one that is not online.
    pub memory_available_bytes: u64,
    /// What weighs on it, as it says itself.
    pub pressure: Pressure,
}

/// Whether a node takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeState {
    /// A member, linked with this node.
    Online,
    /// Seen on the network, but not let in or not letting us in: why, in words.
    Locked(String),
    /// Was a member, is gone for now.
    Lost,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    /// One end.
    pub a: NodeId,
    /// The other.
    pub b: NodeId,
    /// Measured round trip in microseconds, if known.
    pub round_trip_us: Option<u32>,
    /// Measured, bytes per second; of two directions the slower one.
    pub bandwidth_bytes_per_s: Option<u64>,
    /// What it runs over, if that is known.
    pub kind: Option<LinkKind>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceView {
    /// Its id.
    pub id: InstanceId,
    /// The name to use in requests.
    pub model: ModelId,
    /// Where the model's folder is.
    pub folder: String,
    /// What the model's files are.
    pub fingerprint: Fingerprint,
    /// Where they can be fetched from, if they came from a hub.
    pub origin: Option<HubRevision>,
    /// To how many bits its matrices were quantized as they were loaded.
    pub quantize: Option<QuantizedBits>,
    /// To how many bits the caches of layers that see all are quantized.
    pub kv_bits: Option<CacheBits>,
    /// Longest sequence the model takes, in tokens.
    pub context_tokens_max: u32,
    /// Tokens of KV cache there is room for, over all sequences.
    pub cache_tokens: u32,
    /// Entries of the model's vocabulary.
    pub vocabulary_size: u32,
    /// A request asked for it; otherwise a user opened it.
    pub on_demand: bool,
    /// Who decides about it.
    pub owner: NodeId,
    /// The number of its plan; 0 before the first.
    pub generation: u32,
    /// How it is divided; `None` before its first plan.
    pub sharding: Option<Sharding>,
    /// How it is.
    pub state: InstanceState,
    /// Why it failed, or what it waits for.
    pub failure: Option<Failure>,
    /// By rank; of the last plan if none is in force.
    pub shards: Vec<ShardView>,
    /// What it is doing, in the word of the node that drives it; `None` if that has said nothing yet.
    pub activity: Option<InstanceActivity>,
    /// The model that drafts for it, if one does.
    pub draft: Option<DraftModel>,
}

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Nodes are being chosen, look for the model's files and take their ports. With a failure: nothing fits now, it waits for more.
    Placing,
    /// A node fetches files of the model, be it for the first plan or for a later one.
    Downloading,
    /// Workers read weights.
    Loading,
    /// It answers.
    Ready,
    /// A plan was lost and the next one is on its way. With a failure: nothing fits now, it waits for more.
    Mending,
    /// Given up.
    Failed,
}

/// A shard.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardView {
    /// On which node.
    pub node: NodeId,
    /// Its rank; rank 0 drives.
    pub rank: u32,
    /// Its layers.
    pub layers: Range<u32>,
    /// Its slice of each of them.
    pub tensor: TensorSlice,
    /// Memory planned for it, in bytes.
    pub bytes: u64,
    /// What its node says of it.
    pub status: Option<ShardStatus>,
}

impl InstanceView {
    /// The node of rank 0, where requests go, if the instance answers.
    pub fn driver(&self) -> Option<NodeId> {
        let ready = self.state == InstanceState::Ready;
        self.shards
            .first()
            .filter(|_| ready)
            .map(|shard| shard.node)
    }

    /// Bytes read and to read by all workers that load.
    pub fn load_progress(&self) -> (u64, u64) {
        self.shards
            .iter()
            .map(|shard| match shard.status {
                Some(ShardStatus::Loading {
                    bytes_done,
                    bytes_total,
                }) => (bytes_done, bytes_total),
                Some(
                    ShardStatus::Fetching { .. }
                    | ShardStatus::Reserved { .. }
                    | ShardStatus::Ready
                    | ShardStatus::Failed(_),
                )
                | None => (0, 0),
            })
            .fold((0, 0), sum)
    }

    /// Bytes that came and that were missing, of all nodes that fetch files now.
    pub fn fetch_progress(&self) -> (u64, u64) {
        let fetching = self.shards.iter().filter_map(ShardView::fetch_progress);
        fetching.fold((0, 0), sum)
    }
}

/// What nodes say of themselves need not make sense.
const fn sum((done, total): (u64, u64), (more_done, more): (u64, u64)) -> (u64, u64) {
    (done.saturating_add(more_done), total.saturating_add(more))
}

impl ShardView {
    /// Bytes that came and that were missing; `None` unless its node fetches files now.
    pub fn fetch_progress(&self) -> Option<(u64, u64)> {
        match self.status {
            Some(ShardStatus::Fetching {
                bytes_done,
                bytes_total,
            }) => Some((bytes_done, bytes_total)).filter(|_| bytes_total > 0),
            Some(
                ShardStatus::Reserved { .. }
                | ShardStatus::Loading { .. }
                | ShardStatus::Ready
                | ShardStatus::Failed(_),
            )
            | None => None,
        }
    }
}

impl State {
    /// How the cluster looks from here.
    pub fn view(&self) -> ClusterView {
        let links = self.pairs();
        let links = links.iter().map(|pair| self.view_link(pair));
        let open = |instance: &&Instance| instance.record.phase != InstancePhase::Closed;
        let instances = self.instances.values().filter(open);
        ClusterView {
            node_id: self.me.id,
            nodes: self.view_nodes(),
            links: links.collect(),
            instances: instances
                .map(|instance| self.view_instance(instance))
                .collect(),
        }
    }

    fn view_link(&self, pair: &Pair) -> LinkView {
        let end = |of: NodeId, to: NodeId| {
            let links = &self.live_record(of)?.links;
            links.iter().find(|link| link.node == to)
        };
        let ends = [end(pair.a, pair.b), end(pair.b, pair.a)];
        let measured = ends.iter().flatten();
        LinkView {
            a: pair.a,
            b: pair.b,
            round_trip_us: pair.round_trip_us,
            bandwidth_bytes_per_s: measured.filter_map(|link| link.bandwidth_bytes_per_s).min(),
            kind: ends.iter().flatten().find_map(|link| link.kind),
        }
    }

    fn view_nodes(&self) -> Vec<NodeView> {
        let mut nodes: Vec<NodeView> = self
            .live_records()
            .map(|record| {
                let online = view_node(record, NodeState::Online);
                NodeView {
                    memory_available_bytes: self
                        .left_of_limit(record, &[])
                        .min(online.memory_available_bytes),
                    ..online
                }
            })
            .collect();
        let gone = self
            .peers
            .values()
            .filter(|peer| peer.live_record().is_none());
        // A node that is linked and about to speak is neither lost nor online: it appears when it has.
        let lost = gone.filter(|peer| peer.link.is_none());
        let lost = lost.filter_map(|peer| peer.record.as_ref());
        nodes.extend(lost.map(|record| NodeView {
            memory_available_bytes: 0,
            ..view_node(record, NodeState::Lost)
        }));
        for sighting in self.sightings.values() {
            let known = nodes.iter().any(|node| node.id == sighting.node);
            if let (false, Some(reason)) = (known, &sighting.locked) {
                nodes.push(NodeView {
                    id: sighting.node,
                    name: sighting.name.clone(),
                    chip: String::new(),
                    state: NodeState::Locked(reason.clone()),
                    memory_total_bytes: 0,
                    memory_available_bytes: 0,
                    pressure: Pressure::default(),
                });
            }
        }
        nodes[1..].sort_by_key(|node| node.id);
        nodes
    }

    pub(crate) fn view_instance(&self, instance: &Instance) -> InstanceView {
        let record = &instance.record;
        let placed = record.phase == InstancePhase::Placed;
        let plan = record.plan.as_ref();
        let shards = plan
            .into_iter()
            .flat_map(|plan| plan.shards.iter().zip(0..));
        let shards: Vec<ShardView> = shards
            .map(|(shard, rank)| ShardView {
                node: shard.node,
                rank,
                layers: shard.layers.clone(),
                tensor: shard.tensor,
                bytes: shard.bytes,
                status: self
                    .shard_status(shard.node, instance.shard_key(), rank)
                    .filter(|_| placed)
                    .cloned(),
            })
            .collect();
        let (state, failure) = self.instance_state(instance, &shards);
        InstanceView {
            id: record.id,
            model: record.model.clone(),
            folder: record.folder.clone(),
            fingerprint: record.fingerprint,
            origin: record.origin.clone(),
            quantize: record.card.quantize,
            kv_bits: record.card.kv_bits,
            context_tokens_max: record.card.context_tokens_max,
            cache_tokens: plan.map_or_else(
                || cache_tokens(&record.card),
                |plan| planned_cache_tokens(&record.card, plan),
            ),
            vocabulary_size: record.card.vocabulary_size,
            on_demand: record.on_demand,
            owner: record.owner,
            generation: record.generation,
            sharding: plan.map(|plan| plan.sharding),
            state,
            failure,
            activity: self.view_activity(record.id, &shards),
            shards,
            draft: record.draft.clone(),
        }
    }

    fn view_activity(&self, id: InstanceId, shards: &[ShardView]) -> Option<InstanceActivity> {
        let driver = self.live_record(shards.first()?.node)?;
        let found = driver.activity.iter().find(|one| one.instance == id);
        found.copied()
    }

    fn instance_state(
        &self,
        instance: &Instance,
        shards: &[ShardView],
    ) -> (InstanceState, Option<Failure>) {
        let record = &instance.record;
        let orphaned =
            instance.ownerless_ms.is_some() && decide::successors(self, instance).next().is_none();
        match &record.phase {
            InstancePhase::Failed(failure) => (InstanceState::Failed, Some(failure.clone())),
            InstancePhase::Waiting(_) | InstancePhase::Placed if orphaned => {
                let failure = Failure::new(
                    ErrorCode::WorkerLost,
                    "every node that ran the model is gone",
                );
                let failure = failure.hint("open the model again");
                (InstanceState::Failed, Some(failure))
            }
            InstancePhase::Waiting(failure) if record.generation == 0 => {
                (InstanceState::Placing, Some(failure.clone()))
            }
            InstancePhase::Waiting(failure) => (InstanceState::Mending, Some(failure.clone())),
            InstancePhase::Placed | InstancePhase::Closed => {
                let again = record.generation > 1 || instance.care.ready_ms.is_some();
                (placed_state(again, shards), None)
            }
        }
    }
}

/// How an instance with a plan in force is.
fn placed_state(again: bool, shards: &[ShardView]) -> InstanceState {
    let all = |test: fn(&ShardStatus) -> bool| {
        let holds = |shard: &ShardView| shard.status.as_ref().is_some_and(test);
        shards.iter().all(holds)
    };
    if all(|status| matches!(status, ShardStatus::Ready)) {
        InstanceState::Ready
    } else if shards.iter().any(|shard| shard.fetch_progress().is_some()) {
        InstanceState::Downloading
    } else if again {
        InstanceState::Mending
    } else if all(|status| !matches!(status, ShardStatus::Fetching { .. })) {
        InstanceState::Loading
    } else {
        InstanceState::Placing
    }
}

fn view_node(record: &NodeRecord, state: NodeState) -> NodeView {
    NodeView {
        id: record.id,
        name: record.name.clone(),
        chip: record.chip.clone(),
        state,
        memory_total_bytes: record.memory_total_bytes,
        memory_available_bytes: record.memory_available_bytes,
        pressure: record.pressure,
    }
}
