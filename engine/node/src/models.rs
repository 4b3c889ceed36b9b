//! The models of this node's disk, asked for off the runtime's threads: [`store`] blocks on files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base::{DerivedModel, ErrorCode, Failure, Fingerprint, ModelId, ModelShape, TensorInfo};
use cluster::{ClusterView, InstanceState};
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

    /// The model of a name. For requests: a path is never followed.
    pub(crate) async fn by_name(&self, name: &str) -> Result<LocalModel, Failure> {
        let name = name.to_string();
        self.ask(move |catalogue| Ok(catalogue.by_name(&name)?))
            .await
            .map(local)
    }

    /// The model of a name or of a folder's path. For whoever runs the node.
    pub(crate) async fn resolve(&self, name_or_path: &str) -> Result<LocalModel, Failure> {
        let wanted = name_or_path.to_string();
        self.ask(move |catalogue| Ok(catalogue.resolve(&wanted)?))
            .await
            .map(local)
    }

    /// The same for whoever opens it, after which requests may name it.
    pub(crate) async fn to_open(&self, name_or_path: &str) -> Result<LocalModel, Failure> {
        let wanted = name_or_path.to_string();
        let found = self.ask(move |catalogue| {
            let model = catalogue.resolve(&wanted)?;
            catalogue.remember(&model);
            Ok(model)
        });
        found.await.map(local)
    }

    /// Where the files of a model are that a node of the cluster placed.
    pub(crate) async fn locate(
        &self,
        name: &ModelId,
        folder: &str,
        fingerprint: Fingerprint,
    ) -> Result<PathBuf, Failure> {
        let name = name.clone();
        let folder = PathBuf::from(folder);
        let found = self
            .ask(move |catalogue| Ok(catalogue.locate(&name, &folder, fingerprint)?))
            .await?;
        Ok(found.path)
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
    LocalModel {
        name: model.name,
        folder: model.folder.path,
        fingerprint: model.folder.fingerprint,
    }
}

fn listed((model, is_own): (Model, bool)) -> ListedModel {
    let folder = model.folder;
    ListedModel {
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
