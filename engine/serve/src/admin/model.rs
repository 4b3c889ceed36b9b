//! The admin API's JSON. Stable: scripts read it. The dashboard's TypeScript types are made from it.

use serde::{Deserialize, Serialize};
#[cfg(test)]
use ts_rs::TS;
use utoipa::ToSchema;

/// Everything there is to see, from one node.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct State {
    /// The node that answers.
    pub(crate) node_id: String,
    /// That node first.
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Vec<Link>,
    pub(crate) instances: Vec<Instance>,
}

/// A computer that runs Espalier.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Hardware in words; empty if not known.
    pub(crate) chip: String,
    pub(crate) state: NodeState,
    /// Why it is locked.
    pub(crate) reason: Option<String>,
    pub(crate) memory_total_bytes: u64,
    /// What it lends to models beyond those it holds.
    pub(crate) memory_available_bytes: u64,
    /// Whether heat slows it down; null if it does not say.
    pub(crate) thermal: Option<Level>,
    /// Whether programs on it wait for memory; null if it does not say.
    pub(crate) memory_pressure: Option<Level>,
}

/// How far something is from its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(TS))]
pub(crate) enum Level {
    Normal,
    Elevated,
    Critical,
}

/// Whether a node takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(TS))]
pub(crate) enum NodeState {
    /// It is a member and can be reached.
    Online,
    /// It is seen on the network and not a member.
    Locked,
    /// It was a member and is gone.
    Lost,
}

/// A connection between two nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Link {
    pub(crate) a: String,
    pub(crate) b: String,
    /// Measured round trip, microseconds.
    pub(crate) round_trip_us: Option<u32>,
    /// Measured; of two directions the slower one.
    pub(crate) bandwidth_bytes_per_s: Option<u64>,
    /// Null if the nodes do not know.
    pub(crate) kind: Option<LinkKind>,
}

/// What a link runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(TS))]
pub(crate) enum LinkKind {
    /// Both nodes are on one machine.
    Loopback,
    Ethernet,
    Wifi,
    Thunderbolt,
    Other,
}

/// A model on the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Instance {
    pub(crate) id: String,
    /// The name to use in requests.
    pub(crate) model: String,
    /// Null before the first placement.
    pub(crate) sharding: Option<Sharding>,
    pub(crate) state: InstanceState,
    /// Why it failed, or what it waits for.
    pub(crate) error: Option<ErrorOut>,
    /// While nodes fetch files that they lack, one for each of them.
    pub(crate) fetching: Vec<Fetching>,
    /// While weights are read.
    pub(crate) loading: Option<Loading>,
    /// The node that decides about it.
    pub(crate) owner: String,
    /// How often it was placed.
    pub(crate) generation: u32,
    /// By rank.
    pub(crate) shards: Vec<Shard>,
    /// Null while nobody asks it anything.
    pub(crate) activity: Option<Activity>,
    /// A request asked for it; otherwise a user opened it.
    pub(crate) on_demand: bool,
    /// When it is unloaded if nobody asks it anything, milliseconds since 1970; null while somebody does, and if it stays.
    pub(crate) expires_unix_ms: Option<u64>,
    /// To how many bits its matrices were quantized as they were loaded; null if they are as the files have them.
    pub(crate) quantize: Option<u8>,
    /// To how many bits the caches of its layers that see all are quantized; null if they are in the model's own type.
    pub(crate) kv_bits: Option<u8>,
    /// The model that drafts for it; null if none does.
    pub(crate) draft: Option<String>,
}

/// What an instance is doing now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Activity {
    /// Requests whose prompt is being read.
    pub(crate) reading: u32,
    /// Requests being answered.
    pub(crate) answering: u32,
    /// Requests that wait for a place.
    pub(crate) waiting: u32,
    /// Generated over the last second or so, for all requests together.
    pub(crate) tokens_per_s: f64,
}

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(TS))]
pub(crate) enum InstanceState {
    /// Nodes are being chosen.
    Placing,
    /// Its files are being fetched.
    Downloading,
    /// Its weights are being read.
    Loading,
    /// It answers.
    Ready,
    /// A part was lost and is being replaced; requests wait.
    Mending,
    /// It was given up.
    Failed,
}

/// How a model is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(TS))]
pub(crate) enum Sharding {
    /// Runs of layers.
    Pipeline,
    /// Slices of every layer.
    Tensor,
}

/// Progress of fetching the files that a node lacks for its part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Fetching {
    pub(crate) node_id: String,
    pub(crate) bytes_done: u64,
    pub(crate) bytes_total: u64,
}

/// Progress of reading weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Loading {
    pub(crate) bytes_done: u64,
    pub(crate) bytes_total: u64,
}

/// What one node holds of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Shard {
    pub(crate) node_id: String,
    /// Rank 0 drives and holds a pipeline's last layers.
    pub(crate) rank: u32,
    /// First, and the one after the last.
    pub(crate) layers: [u32; 2],
    /// Which slice, of how many.
    pub(crate) tensor: [u32; 2],
    pub(crate) bytes: u64,
}

/// The instances alone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Instances {
    pub(crate) instances: Vec<Instance>,
}

/// The models that this node can open by name.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Models {
    pub(crate) models: Vec<Model>,
}

/// A model whose files this node has.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Model {
    /// The name to use in requests.
    pub(crate) id: String,
    pub(crate) weights_bytes: u64,
    /// Its architecture's name; empty if its files do not say.
    pub(crate) family: String,
    /// How its weights are stored, in words; empty if its files do not say.
    pub(crate) weights_format: String,
    /// Its licence's name; null if its files do not say.
    pub(crate) licence: Option<String>,
    /// Where its files are.
    pub(crate) folder: String,
    /// Whether the node may delete them: they lie in its own folder, or in one that takes downloads.
    pub(crate) is_own: bool,
    /// Whether only a part is here: what this node's layers needed. The rest comes when it is needed.
    pub(crate) is_part: bool,
}

/// The ways to run a model, best first.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Placements {
    pub(crate) placements: Vec<Placement>,
}

/// One way to run a model.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Placement {
    pub(crate) sharding: Sharding,
    /// Predicted, for a single request.
    pub(crate) tokens_per_s: f64,
    pub(crate) shards: Vec<Shard>,
}

/// The answer to opening a model.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Opened {
    /// The first of them.
    pub(crate) id: String,
    /// One for each replica.
    pub(crate) ids: Vec<String>,
}

/// What went wrong and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
#[schema(as = ErrorBody)]
pub(crate) struct ErrorOut {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// The body of `POST /admin/instances` and `POST /admin/plan`. A field that is not known is an error: ignoring it
/// would place the model otherwise than was meant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS), ts(optional_fields))]
#[schema(as = InstanceWish)]
pub(crate) struct Wish {
    pub(crate) model: String,
    pub(crate) sharding: Option<ShardingWish>,
    pub(crate) node_count: Option<u32>,
    pub(crate) node_ids: Option<Vec<String>>,
    /// How many instances to open, each on other nodes as far as there are; 1 if it is left out.
    pub(crate) replicas: Option<u32>,
    /// To how many bits to quantize matrices that are not quantized yet, as they are loaded: 2, 3, 4, 5, 6 or 8; none if it is
    /// left out.
    pub(crate) quantize: Option<u8>,
    /// To how many bits to quantize keys and values of layers that see all, as they are cached: 4 or 8; none if it is left out.
    pub(crate) kv_bits: Option<u8>,
    /// A small model with the same tokenizer, whole beside the first rank, that says what comes next: where it is right the
    /// answer comes faster, and it is the same answer.
    pub(crate) draft: Option<String>,
}

/// How to divide a model.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(TS))]
pub(crate) enum ShardingWish {
    Auto,
    Pipeline,
    Tensor,
}
