//! The one door between HTTP and the cluster: implements [`serve::Gateway`].
//!
//! A request: its model's name to an instance (opened if there is none), its text to tokens, its tokens to rank 0,
//! what comes back to text. Never: a decision about placement, an API's own types.

mod answer;
mod desk;
mod drafts;
mod embed;
mod everywhere;
mod generation;
mod membership;
mod model_text;
mod models;
mod opening;
mod prepare;
mod remote;
mod replicas;
mod room;
mod route;
mod settings;
mod view;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::{
    DerivedModel, EmbedRequest, Embedded, ErrorCode, Failure, GenerateRequest, InstanceId,
    TokenRequest,
};
use cluster::InstanceView;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use serve::disk::{DiskUsage, Leftover, Room};
use serve::downloads::{self, Download};
use serve::membership as served;
use serve::settings::SettingsChange;
use serve::user_data::UserData;
use serve::{GenerateStream, HubModel, ModelDescription, ModelInfo, OpenInstance, RankedPlacement};
use tokio::sync::watch;

pub(crate) use opening::{Asked, Opening};
pub(crate) use route::submit_here;

use crate::cluster_actor::ClusterHandle;
use crate::control::ControlHandle;
use crate::disk::Disks;
use crate::downloads::DownloadsHandle;
use crate::membership::Membership;
use crate::models::LocalModels;
use crate::network::NetReceiver;
use crate::random;
use crate::supervisor::Running;
use crate::user_data::{UserFiles, milliseconds_since_1970};
use desk::Desk;
use generation::{Drivers, Generation, Limit};
use model_text::ModelTexts;
use prepare::{ModelLimits, prepare};
pub(crate) use remote::Remote;
use remote::RemoteModel;
use replicas::Weights;
use route::Routes;

/// From a request for a model that is not loaded to its first token: reading hundreds of gigabytes from a slow disk.
const LOAD_LIMIT: Duration = Duration::from_mins(10);

/// From a request's arrival to the end of its answer, if it does not say itself: the longest answers of a slow machine
/// take so long, and what takes longer was forgotten by whoever asked.
const REQUEST_LIMIT: Duration = Duration::from_hours(1);
/// An instance may be unloaded in the moment in which it is asked. Again and again is no chance.
const STARTS_MAX: usize = 3;

/// The node as the HTTP server sees it.
pub(crate) struct NodeGateway {
    cluster: ClusterHandle,
    models: LocalModels,
    texts: ModelTexts,
    desk: Desk,
    opening: Arc<Opening>,
    routes: Arc<dyn Drivers>,
    view: view::Mirror,
    control: ControlHandle,
    members: watch::Receiver<Arc<Membership>>,
    net: NetReceiver,
    user_files: Arc<UserFiles>,
    downloads: DownloadsHandle,
    disks: Disks,
}

/// What a gateway works with.
pub(crate) struct GatewayParts {
    pub(crate) cluster: ClusterHandle,
    pub(crate) models: LocalModels,
    pub(crate) opening: Arc<Opening>,
    pub(crate) running: Running,
    pub(crate) net: NetReceiver,
    pub(crate) control: ControlHandle,
    pub(crate) members: watch::Receiver<Arc<Membership>>,
    pub(crate) user_files: UserFiles,
    pub(crate) downloads: DownloadsHandle,
    pub(crate) disks: Disks,
}

impl NodeGateway {
    pub(crate) fn new(parts: GatewayParts) -> Self {
        let routes = Routes::new(
            parts.cluster.clone(),
            parts.running,
            parts.net.clone(),
            Arc::clone(&parts.opening),
        );
        Self {
            view: view::Mirror::start(&parts.cluster),
            routes: Arc::new(routes),
            texts: ModelTexts::default(),
            desk: Desk::new(),
            cluster: parts.cluster,
            models: parts.models,
            opening: parts.opening,
            control: parts.control,
            members: parts.members,
            net: parts.net,
            user_files: Arc::new(parts.user_files),
            downloads: parts.downloads,
            disks: parts.disks,
        }
    }

    async fn answer(&self, mut ask: GenerateRequest) -> Result<GenerateStream, Failure> {
        let limit = Limit::of(ask.standing.time_limit.unwrap_or(REQUEST_LIMIT));
        let derived = self.models.derived(&ask.model).await?;
        let mut unasked_tokens = u32::MAX;
        if let Some(derived) = &derived {
            let asked = ask.max_tokens;
            derived.model.fill_in(&mut ask);
            // What the model has by itself is no wish of the request, and shrinks to what fits.
            unasked_tokens = ask.max_tokens.unwrap_or(u32::MAX);
            ask.max_tokens = asked;
        }
        let _place = self.opening.place(&ask.model)?;
        let (model, keep_alive) = (ask.model.clone(), ask.keep_alive);
        let instance = self.opening.on_demand(&model).await?;
        let text = self.text_of(&instance).await?;
        let limits = ModelLimits {
            context_tokens: models::context_tokens(&instance, derived.as_ref()),
            unasked_tokens,
            ..ModelLimits::of(&instance)
        };
        let name = derived.map_or(instance.model.0.clone(), |derived| derived.name);
        let now = seconds_since_1970();
        let preparing = move || prepare(ask, name, &text, limits, now);
        let prepared = self.desk.prepare(preparing).await?;
        let asked = generation::Asked {
            instance: instance.id,
            weights: Weights::of(&instance),
            keep_alive,
        };
        let mut generation = self.generation(asked, prepared.request.clone(), limit);
        let mut started = generation.start().await;
        // One that answered may be unloaded before the request gets there; then it is loaded again, as a moment later.
        for _ in 1..STARTS_MAX {
            let answered = instance.driver().is_some() && self.is_closed(asked.instance);
            if started.is_ok() || !answered {
                break;
            }
            let again = self.opening.on_demand(&model).await?;
            let asked = generation::Asked {
                instance: again.id,
                ..asked
            };
            generation = self.generation(asked, prepared.request.clone(), limit);
            started = generation.start().await;
        }
        started?;
        Ok(answer::answer(generation, prepared.teller))
    }

    fn generation(
        &self,
        asked: generation::Asked,
        request: TokenRequest,
        limit: Limit,
    ) -> Generation {
        let routes = Arc::clone(&self.routes);
        Generation::new(routes, asked, request, LOAD_LIMIT, limit)
    }

    fn is_closed(&self, id: InstanceId) -> bool {
        let view = self.cluster.view();
        view.instances.iter().all(|instance| instance.id != id)
    }

    /// The text side of an instance's model, from this node's copy of its files.
    async fn text_of(
        &self,
        instance: &InstanceView,
    ) -> Result<Arc<model_text::ModelText>, Failure> {
        if let Some(known) = self.texts.known(instance.fingerprint) {
            return Ok(known);
        }
        let folder = self.models.locate_text(instance.into()).await?;
        self.texts.load(instance.fingerprint, folder).await
    }
}

impl serve::Gateway for NodeGateway {
    fn models(&self) -> BoxFuture<'_, Vec<ModelInfo>> {
        self.all_models().boxed()
    }

    fn describe(&self, model: &str) -> BoxFuture<'_, Result<ModelDescription, Failure>> {
        let model = model.to_owned();
        async move { self.description(&model).await }.boxed()
    }

    fn derive(&self, name: &str, model: DerivedModel) -> BoxFuture<'_, Result<(), Failure>> {
        let name = name.to_owned();
        async move { self.models.derive(&name, model).await }.boxed()
    }

    fn delete(&self, model: &str) -> BoxFuture<'_, Result<(), Failure>> {
        let model = model.to_owned();
        async move { self.remove(&model).await }.boxed()
    }

    fn generate(&self, request: GenerateRequest) -> BoxFuture<'_, Result<GenerateStream, Failure>> {
        self.answer(request).boxed()
    }

    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embedded, Failure>> {
        self.vectors(request).boxed()
    }

    fn changes(&self) -> watch::Receiver<Arc<serve::view::ClusterView>> {
        self.view.changes()
    }

    fn open(&self, wish: OpenInstance) -> BoxFuture<'_, Result<InstanceId, Failure>> {
        async move { self.opening.open(&asked(wish)).await }.boxed()
    }

    fn close(&self, id: InstanceId) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let view = self.cluster.view();
            if !view.instances.iter().any(|instance| instance.id == id) {
                let failure =
                    Failure::new(ErrorCode::NotFound, format!("there is no instance {id}"));
                return Err(failure.hint("see which there are with `espalier status`"));
            }
            Ok(self.cluster.close(id).await?)
        }
        .boxed()
    }

    fn plan(&self, wish: OpenInstance) -> BoxFuture<'_, Result<Vec<RankedPlacement>, Failure>> {
        async move {
            let placements = self.opening.plan(&asked(wish)).await?;
            Ok(placements.into_iter().map(ranked).collect())
        }
        .boxed()
    }

    fn known_models(&self) -> Vec<serve::KnownModel> {
        remote::known_models()
    }

    fn look(&self, repository: &str) -> BoxFuture<'_, Result<HubModel, Failure>> {
        let repository = repository.to_string();
        async move {
            let (model, placements) = self.opening.look(&repository).await?;
            let RemoteModel {
                card,
                commit,
                bytes,
            } = model;
            let of_layers: u64 = card.layers.iter().map(|layer| layer.active_bytes).sum();
            Ok(HubModel {
                family: card.model_type.clone(),
                layers: card.layer_count(),
                context_tokens: card.context_tokens_max,
                weights_bytes: card.weights_bytes(),
                active_bytes: of_layers + card.head_bytes,
                placements: placements.map(|all| all.into_iter().map(ranked).collect()),
                commit,
                bytes,
            })
        }
        .boxed()
    }

    fn settings(&self) -> BoxFuture<'_, serve::settings::Settings> {
        let switches = Arc::clone(&self.control.switches().borrow());
        settings::shown(switches).boxed()
    }

    fn change_settings(&self, change: SettingsChange) -> BoxFuture<'_, Result<(), Failure>> {
        self.control.change(settings::asked(change)).boxed()
    }

    fn allowed_origins(&self) -> Vec<String> {
        let switches = self.control.switches();
        let switches = switches.borrow();
        switches.settings.allowed_origins.clone()
    }

    fn reset_settings(&self) -> BoxFuture<'_, Result<(), Failure>> {
        self.control.reset().boxed()
    }

    fn downloads(&self) -> watch::Receiver<Arc<Vec<Download>>> {
        self.downloads.list()
    }

    fn download(&self, ask: downloads::Ask) -> BoxFuture<'_, Result<(), Failure>> {
        self.downloads.ask(ask).boxed()
    }

    fn download_everywhere(&self, model: String) -> BoxFuture<'_, Result<(), Failure>> {
        everywhere::download(self, model).boxed()
    }

    fn disk(&self) -> BoxFuture<'_, Result<DiskUsage, Failure>> {
        let listed = self.downloads.going_on();
        async move { self.disks.usage(listed).await }.boxed()
    }

    fn room(&self, bytes: u64, folder: Option<PathBuf>) -> BoxFuture<'_, Result<Room, Failure>> {
        let listed = self.downloads.going_on();
        async move { self.disks.room(bytes, folder.as_deref(), listed).await }.boxed()
    }

    fn clean(&self, paths: BTreeSet<PathBuf>) -> BoxFuture<'_, Result<Vec<Leftover>, Failure>> {
        let listed = self.downloads.going_on();
        async move { self.disks.clean(paths, listed).await }.boxed()
    }

    fn user_data(&self) -> Arc<dyn UserData> {
        self.user_files.clone()
    }

    fn membership(&self) -> BoxStream<'static, served::Membership> {
        let mut changes = self.members.clone();
        changes.mark_changed();
        let shown = stream::unfold(changes, |mut changes| async move {
            changes.changed().await.ok()?;
            let shown = membership::shown(&changes.borrow_and_update());
            Some((shown, changes))
        });
        shown.boxed()
    }

    fn pairing(&self, ask: served::Ask) -> BoxFuture<'_, Result<(), Failure>> {
        let net = self.net.borrow().clone();
        async move { membership::ask(net, ask).await }.boxed()
    }

    fn random(&self) -> Result<u64, Failure> {
        random::u64()
    }

    fn unix_milliseconds(&self) -> u64 {
        milliseconds_since_1970()
    }
}

fn ranked(placement: cluster::Placement) -> RankedPlacement {
    RankedPlacement {
        plan: placement.plan,
        tokens_per_s: placement.tokens_per_s,
    }
}

fn seconds_since_1970() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

pub(crate) fn asked(wish: OpenInstance) -> Asked {
    Asked {
        model: wish.model,
        sharding: wish.sharding,
        node_count: wish.node_count,
        node_ids: wish.node_ids,
        quantize: wish.quantize,
        kv_bits: wish.kv_bits,
        draft: wish.draft,
    }
}
