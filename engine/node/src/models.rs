//! The models of this node's disk, asked for off the runtime's threads: [`store`] blocks on files.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base::{
    DerivedModel, DraftModel, ErrorCode, Failure, Fingerprint, HubRevision, ModelId, ModelShape,
    TensorInfo,
};
use cluster::{ClusterView, InstanceState, InstanceView, PrepareShard, StartShard};
use store::download::{Wanted, held_layers, held_part, origin};
use store::{
    About, Catalogue, Derived, Leftover, Model, Place, PlaceKind, Places, SproutError, Usage,
};
use tokio::sync::Notify;

use crate::config::NodeConfig;
use crate::settings::ModelFolder;

/// A model whose folder was checked.
#[derive(Debug, Clone)]
pub(crate) struct LocalModel {
    /// The name to use in requests.
    pub(crate) name: ModelId,
    /// Where its files are.
    pub(crate) folder: PathBuf,
    /// What they are.
    pub(crate) fingerprint: Fingerprint,
    /// Where others can fetch them from, if they came from a hub.
    pub(crate) origin: Option<HubRevision>,
}

/// The model of an instance, as whoever placed it says.
#[derive(Debug, Clone)]
pub(crate) struct PlacedModel {
    pub(crate) name: ModelId,
    /// Where its files are on the node that opened it.
    pub(crate) folder: String,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) origin: Option<HubRevision>,
}

/// A model of this node's disks, for people who choose one.
#[derive(Debug, Clone)]
pub(crate) struct ListedModel {
    /// The name to use in requests.
    pub(crate) name: ModelId,
    /// When it came, in seconds since 1970; 0 if that is not known.
    pub(crate) created_unix_seconds: u64,
    /// Where its files are.
    pub(crate) folder: PathBuf,
    /// Size of its weights.
    pub(crate) weights_bytes: u64,
    /// What its files are.
    pub(crate) fingerprint: Fingerprint,
    /// Whether its files may be deleted here.
    pub(crate) is_own: bool,
    /// Whether only a part of them is here.
    pub(crate) is_part: bool,
    /// What its files say of it.
    pub(crate) about: About,
    /// Its numbers.
    pub(crate) shape: ModelShape,
}

/// The catalogue of this node. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LocalModels {
    catalogue: Arc<Catalogue>,
    /// What other tools have fetched from Hugging Face.
    cache: Option<PathBuf>,
    /// Somebody here has changed what there is.
    changed: Arc<Notify>,
}

impl LocalModels {
    /// Opens the catalogue of a data folder, and looks in these folders too; lays out the embedded model the first time.
    pub(crate) async fn open(
        config: &NodeConfig,
        folders: &[ModelFolder],
    ) -> Result<Self, SproutError> {
        let data = config.data.clone();
        let opening = tokio::task::spawn_blocking(move || Catalogue::open(&data));
        let catalogue = opening.await.map_err(|error| SproutError {
            path: PathBuf::new(),
            error: error.into(),
        })??;
        let opened = Self {
            catalogue: Arc::new(catalogue),
            cache: config.hugging_face_cache.clone(),
            changed: Arc::default(),
        };
        opened.look_in(folders);
        Ok(opened)
    }

    /// The model of a name, which may be here in part. For requests: a path is never followed.
    pub(crate) async fn by_name(&self, name: &str) -> Result<LocalModel, Failure> {
        let name = name.to_string();
        self.ask(move |catalogue| Ok(local(catalogue.by_name(&name)?)))
            .await
    }

    /// The model of a name or of a folder's path. For whoever runs the node.
    pub(crate) async fn resolve(&self, name_or_path: &str) -> Result<LocalModel, Failure> {
        let wanted = name_or_path.to_string();
        self.ask(move |catalogue| Ok(local(catalogue.resolve(&wanted)?)))
            .await
    }

    /// The same for whoever opens it, after which requests may name it.
    pub(crate) async fn to_open(&self, name_or_path: &str) -> Result<LocalModel, Failure> {
        let wanted = name_or_path.to_string();
        let found = self.ask(move |catalogue| {
            let model = catalogue.resolve(&wanted)?;
            catalogue.remember(&model);
            Ok(local(model))
        });
        found.await
    }

    /// Where the files of a placed model are that some layers need.
    pub(crate) async fn locate_layers(
        &self,
        placed: PlacedModel,
        layers: Range<u32>,
    ) -> Result<PathBuf, Failure> {
        let part = move |places: &Places, wanted: &Wanted| held_layers(places, wanted, &layers);
        self.locate(placed, part).await
    }

    /// Where a placed model is, all of it.
    pub(crate) async fn locate_whole(&self, placed: PlacedModel) -> Result<PathBuf, Failure> {
        self.locate(placed, |_, _| None).await
    }

    /// Where the files of a placed model are that say how it reads and writes.
    pub(crate) async fn locate_text(&self, placed: PlacedModel) -> Result<PathBuf, Failure> {
        let part = |places: &Places, wanted: &Wanted| Some(held_part(places, wanted)?.folder);
        self.locate(placed, part).await
    }

    /// Where the files of a placed model are: all of them, or else the `part` of its commit that is wanted.
    async fn locate(
        &self,
        placed: PlacedModel,
        part: impl FnOnce(&Places, &Wanted) -> Option<PathBuf> + Send + 'static,
    ) -> Result<PathBuf, Failure> {
        self.ask(move |catalogue| {
            let folder = Path::new(&placed.folder);
            let missing = match catalogue.locate(&placed.name, folder, placed.fingerprint) {
                Ok(found) => return Ok(found.path),
                Err(missing) => missing,
            };
            let wanted = placed
                .origin
                .and_then(|origin| Wanted::try_from(&origin).ok());
            let found = wanted.and_then(|wanted| part(catalogue.places(), &wanted));
            found.ok_or_else(|| missing.into())
        })
        .await
    }

    /// All models of the data folder and the folders named besides.
    pub(crate) async fn list(&self) -> Vec<ListedModel> {
        let listed = self.ask(|catalogue| {
            let models = catalogue.list().into_iter();
            Ok(models.map(listed).collect())
        });
        // Only a panic in the catalogue ends here; it is logged where it happens.
        listed.await.unwrap_or_default()
    }

    /// All derived models.
    pub(crate) async fn list_derived(&self) -> Vec<Derived> {
        let listed = self.ask(|catalogue| Ok(catalogue.list_derived()));
        // Only a panic in the catalogue ends here; it is logged where it happens.
        listed.await.unwrap_or_default()
    }

    /// The derived model of a name, if that is what the name means.
    pub(crate) async fn derived(&self, name: &str) -> Result<Option<Derived>, Failure> {
        let name = name.to_string();
        self.ask(move |catalogue| Ok(catalogue.derived(&name)))
            .await
    }

    /// Keeps a derived model.
    pub(crate) async fn derive(&self, name: &str, model: DerivedModel) -> Result<(), Failure> {
        let name = name.to_string();
        self.ask(move |catalogue| Ok(catalogue.derive(&name, &model)?))
            .await
    }

    /// Whether a model has files that [`LocalModels::remove`] would remove; an error says why it would not.
    pub(crate) async fn may_remove(&self, name: &str) -> Result<bool, Failure> {
        let name = name.to_string();
        self.ask(move |catalogue| Ok(catalogue.may_remove(&name)?))
            .await
    }

    /// Removes a model.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), Failure> {
        let name = name.to_string();
        let removed = self.ask(move |catalogue| Ok(catalogue.remove(&name)?));
        let removed = removed.await;
        self.have_changed();
        removed
    }

    /// What all models take of the disks; `listed` are the downloads that go on.
    pub(crate) async fn usage(&self, listed: BTreeSet<String>) -> Result<Usage, Failure> {
        self.ask(move |catalogue| Ok(catalogue.usage(&listed, SystemTime::now())))
            .await
    }

    /// Removes what is left over at these paths, as far as it may go.
    pub(crate) async fn clean(
        &self,
        paths: BTreeSet<PathBuf>,
        listed: BTreeSet<String>,
    ) -> Result<Vec<(Leftover, Result<(), String>)>, Failure> {
        self.ask(move |catalogue| Ok(catalogue.clean(&paths, &listed, SystemTime::now())))
            .await
    }

    /// The weights of the model in a folder.
    pub(crate) async fn tensors(&self, folder: PathBuf) -> Result<Vec<TensorInfo>, Failure> {
        self.ask(move |_| Ok(store::tensors(&folder))).await
    }

    /// Looks for models in these folders too, instead of those named before.
    pub(crate) fn look_in(&self, folders: &[ModelFolder]) {
        let cached = self.cache.iter().map(|cache| Place {
            path: cache.clone(),
            kind: PlaceKind::HuggingFaceCache,
        });
        let named = folders.iter().map(Place::from);
        self.places().set(named.chain(cached).collect());
        self.have_changed();
    }

    /// The models that lie whole on the disks; quick if little has changed since it was last asked.
    pub(crate) async fn whole(&self) -> Result<Vec<Fingerprint>, Failure> {
        self.ask(|catalogue| Ok(catalogue.whole().into_iter().collect()))
            .await
    }

    /// Says that there may be other models now.
    pub(crate) fn have_changed(&self) {
        self.changed.notify_one();
    }

    /// Returns when there may be other models. For one task alone.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Where models are.
    pub(crate) fn places(&self) -> &Places {
        self.catalogue.places()
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Catalogue) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let catalogue = Arc::clone(&self.catalogue);
        let asking = tokio::task::spawn_blocking(move || question(&catalogue));
        asking.await.map_err(|_| {
            Failure::new(
                ErrorCode::Internal,
                "looking for the model's files broke off",
            )
        })?
    }
}

/// Whether an instance needs the files of a model. One that has failed needs them no more.
pub(crate) fn is_open(view: &ClusterView, files: Fingerprint) -> bool {
    let mut instances = view.instances.iter();
    instances.any(|one| one.fingerprint == files && one.state != InstanceState::Failed)
}

fn local(model: Model) -> LocalModel {
    let Model {
        name,
        folder,
        part_of,
    } = model;
    let downloaded = || origin(&folder.path, &Wanted::parse(&name.0).ok()?.repository);
    LocalModel {
        origin: part_of.or_else(downloaded),
        name,
        folder: folder.path,
        fingerprint: folder.fingerprint,
    }
}

impl LocalModel {
    /// One of a hub's, of which nothing need be here. In the place of a folder it has words that lead nowhere.
    pub(crate) fn of_commit(origin: HubRevision) -> Self {
        Self {
            name: ModelId(origin.repository.clone()),
            folder: PathBuf::from(format!("{}@{}", origin.repository, origin.revision)),
            fingerprint: store::fingerprint_of_commit(&origin),
            origin: Some(origin),
        }
    }
}

impl From<&InstanceView> for PlacedModel {
    fn from(instance: &InstanceView) -> Self {
        Self {
            name: instance.model.clone(),
            folder: instance.folder.clone(),
            fingerprint: instance.fingerprint,
            origin: instance.origin.clone(),
        }
    }
}

impl From<&DraftModel> for PlacedModel {
    fn from(draft: &DraftModel) -> Self {
        Self {
            name: draft.model.clone(),
            folder: draft.folder.clone(),
            fingerprint: draft.fingerprint,
            origin: None,
        }
    }
}

impl From<&PrepareShard> for PlacedModel {
    fn from(shard: &PrepareShard) -> Self {
        Self {
            name: shard.model.clone(),
            folder: shard.folder.clone(),
            fingerprint: shard.fingerprint,
            origin: shard.origin.clone(),
        }
    }
}

impl From<&StartShard> for PlacedModel {
    fn from(shard: &StartShard) -> Self {
        Self {
            name: shard.model.clone(),
            folder: shard.folder.clone(),
            fingerprint: shard.fingerprint,
            origin: shard.origin.clone(),
        }
    }
}

fn listed((model, is_own): (Model, bool)) -> ListedModel {
    let folder = model.folder;
    ListedModel {
        is_part: model.part_of.is_some(),
        name: model.name,
        created_unix_seconds: created(&folder.path),
        weights_bytes: folder.weights_bytes,
        fingerprint: folder.fingerprint,
        is_own,
        about: About::of(&folder.path),
        shape: store::shape(&folder.path),
        folder: folder.path,
    }
}

/// When a folder was last changed, which for a model is when it came; 0 if the system does not say.
fn created(folder: &Path) -> u64 {
    let modified = std::fs::metadata(folder).and_then(|data| data.modified());
    let since = modified
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}
