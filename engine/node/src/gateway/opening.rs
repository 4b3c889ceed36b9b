//! From the name in a request to an instance: one that is there, or a new one.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use base::{
    CacheBits, DraftCost, DraftModel, ErrorCode, Failure, Fingerprint, HubRevision, InstanceId,
    ModelCard, ModelId, NodeId, QuantizedBits, Secret, ShardingChoice,
};
use cluster::placement::draft_cost;
use cluster::{Asker, ClusterView, InstanceState, InstanceView, OpenInstance, Wish};
use store::download::Wanted;
use store::fingerprint_of_commit;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::drafts;
use super::remote::{Remote, RemoteModel};
use super::replicas::Weights;
use super::room::{make_room, placements};
use crate::cluster_actor::ClusterHandle;
use crate::models::{LocalModel, LocalModels};
use crate::supervisor::inspect;
use crate::{on_disk, random};

/// Requests that wait for models to be loaded, all together: each holds a connection and a prompt, and a model that
/// takes minutes has answered the first hundreds before the last of more would have their turn.
const WAITING_MAX: usize = 256;

/// Opens instances. One at a time, so that two requests for a model that is not loaded load it once.
pub(crate) struct Opening {
    cluster: ClusterHandle,
    models: LocalModels,
    worker: PathBuf,
    one_at_a_time: Mutex<()>,
    waiting: Arc<Semaphore>,
    /// Cards of models seen so far, quantized or as they are. A few for each model that this node has.
    cards: Mutex<HashMap<Weights, ModelCard>>,
    remote: Remote,
}

/// What somebody wants opened or planned.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The model's name, or its folder.
    pub(crate) model: String,
    /// How to divide it.
    pub(crate) sharding: ShardingChoice,
    /// Over how many nodes; `None` leaves it to the planner.
    pub(crate) node_count: Option<u32>,
    /// Over which nodes; empty leaves it to the planner.
    pub(crate) node_ids: Vec<NodeId>,
    /// To how many bits to quantize it.
    pub(crate) quantize: Option<QuantizedBits>,
    /// To how many bits to quantize its cache.
    pub(crate) kv_bits: Option<CacheBits>,
    /// The name or folder of a model that is to draft for it.
    pub(crate) draft: Option<String>,
}

impl Asked {
    /// A model as a request names it, as it is and divided as is best.
    pub(crate) fn named(model: &str) -> Self {
        Self {
            model: model.to_string(),
            sharding: ShardingChoice::Auto,
            node_count: None,
            node_ids: Vec::new(),
            quantize: None,
            kv_bits: None,
            draft: None,
        }
    }
}

impl Opening {
    pub(crate) fn new(
        cluster: ClusterHandle,
        models: LocalModels,
        worker: PathBuf,
        remote: Remote,
    ) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            models,
            worker,
            one_at_a_time: Mutex::new(()),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            cards: Mutex::new(HashMap::new()),
            remote,
        })
    }

    /// A place among the requests that wait for a model, to hold while waiting; none is needed for one that answers.
    pub(crate) fn place(&self, model: &str) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        let answers =
            usable(&self.cluster.view(), |one| one.model.0 == model).and_then(InstanceView::driver);
        if answers.is_some() {
            return Ok(None);
        }
        let place = Arc::clone(&self.waiting).try_acquire_owned();
        place.map(Some).map_err(|_| {
            let message = format!("{WAITING_MAX} requests wait for models to be loaded already");
            Failure::new(ErrorCode::Overloaded, message).hint("try again when they are loaded")
        })
    }

    /// The instance that answers requests for a model: a running one, or a new one of a model of this node.
    pub(crate) async fn on_demand(&self, model: &str) -> Result<InstanceView, Failure> {
        if let Some(found) = usable(&self.cluster.view(), |one| one.model.0 == model) {
            return Ok(found.clone());
        }
        let local = self.models.by_name(model).await?;
        let _one = self.one_at_a_time.lock().await;
        let view = self.cluster.view();
        if let Some(found) = usable(&view, |one| one.fingerprint == local.fingerprint) {
            return Ok(found.clone());
        }
        self.close_failed(&view, local.fingerprint).await;
        tracing::info!(%model, "a request asks for a model that is not loaded");
        let asked = Asked::named(model);
        let id = self.open_local(&local, &asked, Asker::Request).await?;
        self.instance(id)
    }

    /// Opens an instance, whatever else there is.
    pub(crate) async fn open(&self, asked: &Asked) -> Result<InstanceId, Failure> {
        let local = self.here_or_of_hub(asked, self.models.to_open(&asked.model).await);
        let local = local.await?;
        let _one = self.one_at_a_time.lock().await;
        self.open_local(&local, asked, Asker::User).await
    }

    /// Opens the model of an instance that nobody is left to mend; another request may have done so already.
    pub(crate) async fn open_again(&self, lost: InstanceId) -> Result<InstanceId, Failure> {
        let lost = self.instance(lost)?;
        let local = self.models.locate_text((&lost).into()).await?;
        let _one = self.one_at_a_time.lock().await;
        let view = self.cluster.view();
        if let Some(found) = usable(&view, |one| Weights::of(one) == Weights::of(&lost)) {
            return Ok(found.id);
        }
        tracing::info!(model = %lost.model, "every node that ran the model is gone; it is opened again here");
        self.close_failed(&view, lost.fingerprint).await;
        let local = LocalModel {
            name: lost.model.clone(),
            folder: local,
            fingerprint: lost.fingerprint,
            origin: lost.origin,
        };
        let asked = Asked {
            quantize: lost.quantize,
            kv_bits: lost.kv_bits,
            draft: self.draft_here(lost.draft.as_ref()).await,
            ..Asked::named(&lost.model.0)
        };
        self.open_local(&local, &asked, Asker::Request).await
    }

    /// Where the model that drafted for another one lies here. Without it that answers the same.
    async fn draft_here(&self, draft: Option<&DraftModel>) -> Option<String> {
        let found = self.models.locate_whole(draft?.into()).await;
        found
            .ok()
            .map(|folder| folder.to_string_lossy().into_owned())
    }

    /// How a model could be placed now.
    pub(crate) async fn plan(&self, asked: &Asked) -> Result<Vec<cluster::Placement>, Failure> {
        let local = self.here_or_of_hub(asked, self.models.resolve(&asked.model).await);
        let local = local.await?;
        placements(&self.cluster, &self.wish(&local, asked).await?.0).await
    }

    /// What a repository of the hub holds, and how it could be placed now or why it could not.
    pub(super) async fn look(
        &self,
        repository: &str,
    ) -> Result<(RemoteModel, Result<Vec<cluster::Placement>, Failure>), Failure> {
        let wanted = Wanted::parse(repository);
        let wanted = wanted.map_err(|error| Failure::from(error).param("model"))?;
        let model = self
            .remote
            .look(&self.worker, &wanted, (None, None))
            .await?;
        let wish = Wish {
            card: model.card.clone(),
            fingerprint: fingerprint_of_commit(&HubRevision {
                repository: wanted.repository.to_string(),
                revision: model.commit.clone(),
            }),
            sharding: ShardingChoice::Auto,
            node_count: None,
            node_ids: Vec::new(),
        };
        let placements = placements(&self.cluster, &wish).await;
        Ok((model, placements))
    }

    /// What was `found` on the disks here, or else as the hub has it now: then each node fetches what it needs of it.
    async fn here_or_of_hub(
        &self,
        asked: &Asked,
        found: Result<LocalModel, Failure>,
    ) -> Result<LocalModel, Failure> {
        let (Err(missing), Ok(wanted)) = (&found, Wanted::parse(&asked.model)) else {
            return found;
        };
        if missing.code != ErrorCode::ModelNotFound {
            return found;
        }
        let bits = (asked.quantize, asked.kv_bits);
        let found = self.remote.look(&self.worker, &wanted, bits).await?;
        let local = LocalModel::of_commit(HubRevision {
            repository: wanted.repository.to_string(),
            revision: found.commit,
        });
        let key = Weights {
            fingerprint: local.fingerprint,
            quantize: asked.quantize,
            kv_bits: asked.kv_bits,
        };
        self.cards.lock().await.insert(key, found.card);
        Ok(local)
    }

    async fn wish(
        &self,
        local: &LocalModel,
        asked: &Asked,
    ) -> Result<(Wish, Option<DraftModel>), Failure> {
        // It may be here for a moment only, or known by nothing but its path.
        on_disk::tell(&self.models, &self.cluster).await?;
        let mut card = self.card(local, asked).await?;
        let mut drafts = None;
        if let Some(name) = &asked.draft {
            let (draft, cost) = self.draft(local, &card, name).await?;
            card.draft = Some(cost);
            drafts = Some(draft);
        }
        let wish = Wish {
            card,
            fingerprint: local.fingerprint,
            sharding: asked.sharding,
            node_count: asked.node_count,
            node_ids: asked.node_ids.clone(),
        };
        Ok((wish, drafts))
    }

    /// The model of this name as a draft model for another one, and what it takes.
    async fn draft(
        &self,
        local: &LocalModel,
        card: &ModelCard,
        name: &str,
    ) -> Result<(DraftModel, DraftCost), Failure> {
        let found = self.models.resolve(name).await;
        let draft = found.map_err(|failure| failure.param("draft"))?;
        let own = self.card(&draft, &Asked::named(name)).await?;
        drafts::check([local, &draft], [card, &own]).await?;
        let model = DraftModel {
            model: draft.name,
            folder: draft.folder.to_string_lossy().into_owned(),
            fingerprint: draft.fingerprint,
        };
        Ok((model, draft_cost(&own)))
    }

    /// Refuses what cannot be placed, though others make room: whoever asks is there to be told. An instance that loses
    /// its place later waits for one.
    async fn open_local(
        &self,
        local: &LocalModel,
        asked: &Asked,
        whom: Asker,
    ) -> Result<InstanceId, Failure> {
        let (wish, draft) = self.wish(local, asked).await?;
        make_room(&self.cluster, &wish, whom).await?;
        let id = InstanceId(random::u64()?);
        let open = OpenInstance {
            id,
            model: name_for(&self.cluster.view(), local),
            folder: local.folder.to_string_lossy().into_owned(),
            fingerprint: local.fingerprint,
            origin: local.origin.clone(),
            card: wish.card,
            sharding: wish.sharding,
            node_count: wish.node_count,
            node_ids: wish.node_ids,
            secret: Secret(random::bytes()?),
            on_demand: whom == Asker::Request,
            draft,
        };
        self.cluster.open(open).await?;
        // The cluster keeps a bounded number of instances and says no by not having it.
        let view = self.cluster.view();
        if view.instances.iter().any(|instance| instance.id == id) {
            return Ok(id);
        }
        let failure = Failure::new(
            ErrorCode::Overloaded,
            "the cluster holds as many instances as it can",
        );
        Err(failure.hint("close some that are not needed; `espalier status` lists them"))
    }

    /// What a model is in numbers; asks a worker the first time.
    async fn card(&self, local: &LocalModel, asked: &Asked) -> Result<ModelCard, Failure> {
        let mut cards = self.cards.lock().await;
        let (quantize, kv_bits) = (asked.quantize, asked.kv_bits);
        let key = Weights {
            fingerprint: local.fingerprint,
            quantize,
            kv_bits,
        };
        if let Some(card) = cards.get(&key) {
            return Ok(card.clone());
        }
        let card = inspect(&self.worker, &local.folder, quantize, kv_bits).await?;
        cards.insert(key, card.clone());
        Ok(card)
    }

    fn instance(&self, id: InstanceId) -> Result<InstanceView, Failure> {
        let view = self.cluster.view();
        let found = view.instances.iter().find(|found| found.id == id);
        found.cloned().ok_or_else(|| {
            let failure = Failure::new(ErrorCode::NotFound, format!("there is no instance {id}"));
            failure.hint("see which there are with `espalier status`")
        })
    }

    /// A failed instance of a model makes way for a new attempt.
    async fn close_failed(&self, view: &ClusterView, fingerprint: Fingerprint) {
        let same = view
            .instances
            .iter()
            .filter(|instance| instance.fingerprint == fingerprint);
        for failed in same.filter(|instance| !may_answer(instance)) {
            // Only a node that is shutting down cannot.
            let _ = self.cluster.close(failed.id).await;
        }
    }
}

/// The best of the instances that are `meant`: one that answers, else one that is about to, driven here if possible.
fn usable(view: &ClusterView, meant: impl Fn(&InstanceView) -> bool) -> Option<&InstanceView> {
    let candidates = view
        .instances
        .iter()
        .filter(|one| meant(one))
        .filter(|found| may_answer(found));
    candidates.min_by_key(|instance| match instance.driver() {
        Some(driver) if driver == view.node_id => 0,
        Some(_) => 1,
        None => 2,
    })
}

/// Whether waiting for an instance makes sense: it runs, or something is being done about it.
fn may_answer(instance: &InstanceView) -> bool {
    match instance.state {
        InstanceState::Ready
        | InstanceState::Downloading
        | InstanceState::Loading
        | InstanceState::Mending => true,
        InstanceState::Placing => instance.failure.is_none(),
        InstanceState::Failed => false,
    }
}

/// The name of a new instance's model: its own, unless another model has it already.
fn name_for(view: &ClusterView, local: &LocalModel) -> ModelId {
    let taken = view
        .instances
        .iter()
        .any(|instance| instance.model == local.name && instance.fingerprint != local.fingerprint);
    if taken {
        ModelId(local.folder.to_string_lossy().into_owned())
    } else {
        local.name.clone()
    }
}
