//! What `serve` needs of the node: the one door between HTTP and the cluster.
//!
//! `node` implements [`Gateway`]; tests have their own. Nothing here knows how a request is carried out.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use base::{
    CacheBits, DerivedModel, EmbedRequest, Embedded, Failure, Fingerprint, GenerateEvent,
    GenerateRequest, InstanceId, ModelShape, NodeId, QuantizedBits, ShardPlan, ShardingChoice,
    TensorInfo,
};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::watch;

use crate::disk::{DiskUsage, Leftover, Room};
use crate::downloads::{self, Download};
use crate::membership::{Ask, Membership};
use crate::settings::{Settings, SettingsChange};
use crate::user_data::UserData;
use crate::view::ClusterView;

/// The events of one generation. Dropping it cancels the generation.
pub type GenerateStream = BoxStream<'static, Result<GenerateEvent, Failure>>;

/// The node as the HTTP server sees it.
///
/// Every future may take as long as the work takes (loading a model included); dropping one gives the work up.
pub trait Gateway: Send + Sync + 'static {
    /// The models that requests may name, loaded or not.
    fn models(&self) -> BoxFuture<'_, Vec<ModelInfo>>;

    /// What there is to know of a model.
    fn describe(&self, model: &str) -> BoxFuture<'_, Result<ModelDescription, Failure>>;

    /// Keeps a derived model under a name, in the place of an older one of that name.
    fn derive(&self, name: &str, model: DerivedModel) -> BoxFuture<'_, Result<(), Failure>>;

    /// Deletes a model from this node: a derived one, or one whose files are the node's own and that is not open.
    fn delete(&self, model: &str) -> BoxFuture<'_, Result<(), Failure>>;

    /// Starts a generation. Whatever can be refused before the first token is refused here, not in the stream.
    fn generate(&self, request: GenerateRequest) -> BoxFuture<'_, Result<GenerateStream, Failure>>;

    /// The vectors of some texts.
    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embedded, Failure>>;

    /// The cluster as it is now, and a wake-up whenever it changes.
    fn changes(&self) -> watch::Receiver<Arc<ClusterView>>;

    /// Opens an instance; returns when it is known, long before it is ready.
    fn open(&self, wish: OpenInstance) -> BoxFuture<'_, Result<InstanceId, Failure>>;

    /// Closes an instance. Its requests fail, its workers end.
    fn close(&self, id: InstanceId) -> BoxFuture<'_, Result<(), Failure>>;

    /// The placements that `open` would choose from, best first, without opening anything.
    fn plan(&self, wish: OpenInstance) -> BoxFuture<'_, Result<Vec<RankedPlacement>, Failure>>;

    /// Models to choose from.
    fn known_models(&self) -> Vec<KnownModel>;

    /// What a repository of the hub holds, `owner/name` or `owner/name@revision`; only what describes it is fetched.
    fn look(&self, repository: &str) -> BoxFuture<'_, Result<HubModel, Failure>>;

    /// How the node runs.
    fn settings(&self) -> BoxFuture<'_, Settings>;

    /// Changes how the node runs, now and for later starts. After an error everything is as it was.
    fn change_settings(&self, change: SettingsChange) -> BoxFuture<'_, Result<(), Failure>>;

    /// The origins of pages whose scripts may call the API. Does not block.
    fn allowed_origins(&self) -> Vec<String>;

    /// Makes everything that can be changed as it was at the first start.
    fn reset_settings(&self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Who belongs to the cluster and who would like to: as it is now, and again whenever it changes.
    fn membership(&self) -> BoxStream<'static, Membership>;

    /// Does what somebody wants to do about membership.
    fn pairing(&self, ask: Ask) -> BoxFuture<'_, Result<(), Failure>>;

    /// The models that come from a hub, in the order in which they were asked for, and a wake-up whenever that changes.
    fn downloads(&self) -> watch::Receiver<Arc<Vec<Download>>>;

    /// Does what somebody wants to do about them; returns when it is decided, and kept for the next start.
    fn download(&self, ask: downloads::Ask) -> BoxFuture<'_, Result<(), Failure>>;

    /// Fetches a model, `owner/name` or `owner/name@revision`, here and on all members of the cluster that can be reached;
    /// returns when it is decided everywhere. One that refuses makes this a failure; the others fetch it nevertheless.
    fn download_everywhere(&self, model: String) -> BoxFuture<'_, Result<(), Failure>>;

    /// What models take of the node's disks.
    fn disk(&self) -> BoxFuture<'_, Result<DiskUsage, Failure>>;

    /// Which models to delete to have so many bytes free, in one folder of models or in any.
    fn room(&self, bytes: u64, folder: Option<PathBuf>) -> BoxFuture<'_, Result<Room, Failure>>;

    /// Removes those of what is left over that are at these paths; what was removed, and of the others why not.
    fn clean(&self, paths: BTreeSet<PathBuf>) -> BoxFuture<'_, Result<Vec<Leftover>, Failure>>;

    /// What the node keeps for its user.
    fn user_data(&self) -> Arc<dyn UserData>;

    /// 64 random bits from the operating system, for request ids and the seeds of requests that name none.
    fn random(&self) -> Result<u64, Failure>;

    /// Milliseconds since 1970, for what is shown to people and the `created` fields of answers.
    fn unix_milliseconds(&self) -> u64;
}

/// A model that requests may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name to use in requests.
    pub id: String,
    /// When its files came to this node, seconds since 1970; 0 if that is not known.
    pub created_unix_seconds: u64,
    /// What its files are; of a derived model those of the one that it runs.
    pub fingerprint: Option<Fingerprint>,
    /// The model that it runs, if it is a derived one.
    pub base: Option<String>,
    /// Its files on this node; `None` for one that only other nodes have.
    pub on_disk: Option<ModelOnDisk>,
}

/// A model that people run, in one or several forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownModel {
    /// As people call it.
    pub name: String,
    /// A short name for its first repository.
    pub alias: String,
    /// Its architecture's name.
    pub family: String,
    /// Transformer layers.
    pub layers: u32,
    /// Its longest sequence.
    pub context_tokens: u32,
    /// Where it is on the hub, the usual choice first.
    pub repositories: Vec<KnownRepository>,
}

/// A form of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRepository {
    /// `owner/name`.
    pub id: String,
    /// How its weights are stored, in words.
    pub format: String,
    /// Size of its weights.
    pub bytes: u64,
    /// Those that are read for one token, nearly.
    pub active_bytes: u64,
}

/// A model that a hub has.
#[derive(Debug, Clone, PartialEq)]
pub struct HubModel {
    /// The commit of its repository.
    pub commit: String,
    /// All files that a download fetches.
    pub bytes: u64,
    /// Its architecture's name.
    pub family: String,
    /// Transformer layers.
    pub layers: u32,
    /// Its longest sequence.
    pub context_tokens: u32,
    /// Its weights as they are held.
    pub weights_bytes: u64,
    /// Those that are read for one token.
    pub active_bytes: u64,
    /// How the cluster could run it, best first, or why it could not.
    pub placements: Result<Vec<RankedPlacement>, Failure>,
}

/// What a node knows of a model whose files it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOnDisk {
    /// Size of its weights.
    pub weights_bytes: u64,
    /// Its architecture's name; empty if its files do not say.
    pub family: String,
    /// How its weights are stored, in words; empty if its files do not say.
    pub weights_format: String,
    /// Its licence's name; empty if its files do not say.
    pub licence: String,
    /// Where its files are.
    pub folder: PathBuf,
    /// Whether the node may delete them: they lie in its own folder, or in one that takes downloads.
    pub is_own: bool,
    /// Whether only a part is here: what this node's layers needed. The rest comes when it is needed.
    pub is_part: bool,
    /// Its numbers.
    pub shape: ModelShape,
}

/// What there is to know of a model before it is used.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelDescription {
    /// As it is listed.
    pub info: ModelInfo,
    /// What it adds to the model that it runs, if it is a derived one.
    pub derived: Option<DerivedModel>,
    /// Its own chat template, in Jinja; empty if it was not made for conversations.
    pub template: String,
    /// Whether it thinks before it answers.
    pub thinks: bool,
    /// Whether it can fill in what belongs before a suffix.
    pub infills: bool,
    /// Whether it was made for vectors, and not for words.
    pub embeds: bool,
    /// The text of its licence; empty if its files do not have it.
    pub licence_text: String,
    /// Its weights.
    pub tensors: Vec<TensorInfo>,
}

/// What somebody wants opened, or planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenInstance {
    /// The model: its name, an alias or its folder's path.
    pub model: String,
    /// How to divide it.
    pub sharding: ShardingChoice,
    /// Over how many nodes, at least 1; `None` leaves it to the planner.
    pub node_count: Option<u32>,
    /// Over exactly these nodes; empty leaves it to the planner.
    pub node_ids: Vec<NodeId>,
    /// To how many bits to quantize it as it is loaded; `None` leaves it as its files are.
    pub quantize: Option<QuantizedBits>,
    /// To how many bits to quantize its cache; `None` leaves it in the model's own type.
    pub kv_bits: Option<CacheBits>,
    /// A small model that drafts for it: its name, an alias or its folder's path.
    pub draft: Option<String>,
}

/// One way to run a model.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedPlacement {
    /// Who computes what.
    pub plan: ShardPlan,
    /// Predicted tokens per second of a single request.
    pub tokens_per_s: f64,
}
