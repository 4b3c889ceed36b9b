//! The models of this node and its cluster, for who looks at them, makes one from another or deletes one.

use std::sync::Arc;

use base::{ErrorCode, Failure};
use cluster::InstanceView;
use serve::{ModelDescription, ModelInfo, ModelOnDisk};
use store::Derived;

use super::NodeGateway;
use super::model_text::ModelText;
use crate::models::{ListedModel, is_open};

/// Longest licence that is told: some models come with a book of them.
const LICENCE_BYTES_MAX: u64 = 256 << 10;

impl NodeGateway {
    /// Those of this node's disks, those derived from them, then those that only others have.
    pub(super) async fn all_models(&self) -> Vec<ModelInfo> {
        let on_disk: Vec<ModelInfo> = self.models.list().await.into_iter().map(info).collect();
        let derived = self.models.list_derived().await;
        let view = self.cluster.view();
        let loaded = view.instances.iter().map(|instance| ModelInfo {
            id: instance.model.0.clone(),
            created_unix_seconds: 0,
            fingerprint: Some(instance.fingerprint),
            base: None,
            on_disk: None,
        });
        let mut all = on_disk;
        for model in loaded {
            if all.iter().all(|known| known.id != model.id) {
                all.push(model);
            }
        }
        // One whose model is gone can be used again when that is back, and not before.
        let derived = derived
            .iter()
            .filter_map(|derived| under_its_name(derived, &all));
        let derived: Vec<ModelInfo> = derived.collect();
        all.extend(derived);
        all
    }

    pub(super) async fn description(&self, name: &str) -> Result<ModelDescription, Failure> {
        let derived = self.models.derived(name).await?;
        let wanted = derived.as_ref().map_or(name, |derived| &derived.model.base);
        let all = self.all_models().await;
        let found = find(&all, wanted);
        let Some(base) = found else {
            // Says which there are.
            self.models.by_name(wanted).await?;
            let message = format!("there is no model {wanted:?} here");
            return Err(Failure::new(ErrorCode::ModelNotFound, message));
        };
        let shown = derived
            .as_ref()
            .and_then(|derived| under_its_name(derived, &all));
        let mut description = ModelDescription {
            info: shown.unwrap_or_else(|| base.clone()),
            derived: derived.map(|derived| derived.model),
            template: String::new(),
            thinks: false,
            infills: false,
            embeds: false,
            licence_text: String::new(),
            tensors: Vec::new(),
        };
        if let Some(disk) = &base.on_disk {
            description.tensors = self.models.tensors(disk.folder.clone()).await?;
            description.licence_text = licence(disk).await;
        }
        if let Some(text) = self.text_of_model(base).await? {
            let chat = text.chat.as_ref();
            description.template = chat.map_or_else(String::new, |chat| chat.template.source());
            description.infills = text.infill.is_some();
            description.embeds = text.embeds;
            description.thinks = chat.is_some_and(|chat| chat.format.thinks());
        }
        Ok(description)
    }

    /// The text side of a model of this node's disks.
    async fn text_of_model(&self, model: &ModelInfo) -> Result<Option<Arc<ModelText>>, Failure> {
        let (Some(fingerprint), Some(disk)) = (model.fingerprint, &model.on_disk) else {
            return Ok(None);
        };
        if let Some(known) = self.texts.known(fingerprint) {
            return Ok(Some(known));
        }
        let loaded = self.texts.load(fingerprint, disk.folder.clone()).await;
        loaded.map(Some)
    }

    /// Deletes a model, unless its files go and it is open.
    pub(super) async fn remove(&self, name: &str) -> Result<(), Failure> {
        // A folder that is damaged runs nowhere.
        if self.models.may_remove(name).await?
            && let Ok(local) = self.models.by_name(name).await
        {
            let view = self.cluster.view();
            if is_open(&view, local.fingerprint) {
                let message = format!("{} is open, and its files are in use", local.name);
                let failure = Failure::new(ErrorCode::InvalidRequest, message);
                return Err(failure.hint("unload it first"));
            }
            let instances = view.instances.iter();
            for failed in instances.filter(|one| one.fingerprint == local.fingerprint) {
                self.cluster.close(failed.id).await?;
            }
        }
        self.models.remove(name).await
    }
}

/// Longest prompt and answer together.
pub(super) fn context_tokens(instance: &InstanceView, derived: Option<&Derived>) -> u32 {
    let own = derived.and_then(|derived| derived.model.parameters.context_tokens);
    let all = instance.context_tokens_max.min(instance.cache_tokens);
    all.min(own.unwrap_or(u32::MAX))
}

fn info(model: ListedModel) -> ModelInfo {
    ModelInfo {
        id: model.name.0,
        created_unix_seconds: model.created_unix_seconds,
        fingerprint: Some(model.fingerprint),
        base: None,
        on_disk: Some(ModelOnDisk {
            weights_bytes: model.weights_bytes,
            family: model.about.family,
            weights_format: model.about.weights_format,
            licence: model.about.licence,
            folder: model.folder,
            is_own: model.is_own,
            is_part: model.is_part,
            shape: model.shape,
        }),
    }
}

fn find<'a>(models: &'a [ModelInfo], name: &str) -> Option<&'a ModelInfo> {
    let exact = models.iter().find(|model| model.id == name);
    let lower = name.to_lowercase();
    exact.or_else(|| models.iter().find(|model| model.id.to_lowercase() == lower))
}

/// A derived model as the one that it runs, but for its name.
fn under_its_name(derived: &Derived, models: &[ModelInfo]) -> Option<ModelInfo> {
    let base = find(models, &derived.model.base)?;
    Some(ModelInfo {
        id: derived.name.clone(),
        created_unix_seconds: derived.changed_unix_seconds,
        base: Some(base.id.clone()),
        ..base.clone()
    })
}

/// The licence that lies beside the weights; empty if none does.
async fn licence(disk: &ModelOnDisk) -> String {
    for name in ["LICENSE", "LICENSE.txt", "LICENSE.md"] {
        let path = disk.folder.join(name);
        let size = tokio::fs::metadata(&path).await.map(|file| file.len());
        if size.is_ok_and(|bytes| bytes <= LICENCE_BYTES_MAX)
            && let Ok(text) = tokio::fs::read_to_string(&path).await
        {
            return text;
        }
    }
    String::new()
}
