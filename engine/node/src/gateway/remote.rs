//! Models that a hub has and this node has not: what they are, by what a hub tells of them without sending them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{ErrorCode, Failure, ModelCard};
use store::KnownModel;
use store::download::{Hub, Limits, Wanted, outline};
use tokio::sync::Mutex;

use crate::hub_token::HubToken;
use crate::random;
use crate::supervisor::inspect;

/// Repositories that are remembered: as many as anybody looks at before choosing.
const KNOWN_MAX: usize = 64;
/// Their owners change them now and then.
const KNOWN_FOR: Duration = Duration::from_mins(10);

/// Looks at models of a hub.
pub(crate) struct Remote {
    hub: Hub,
    token: Arc<HubToken>,
    known: Mutex<HashMap<String, (Instant, RemoteModel)>>,
}

/// A model of a hub.
#[derive(Debug, Clone)]
pub(super) struct RemoteModel {
    pub(super) card: ModelCard,
    pub(super) commit: String,
    /// What a download fetches.
    pub(super) bytes: u64,
}

impl Remote {
    pub(crate) fn new(hub: Hub, token: Arc<HubToken>) -> Self {
        Self {
            hub,
            token,
            known: Mutex::default(),
        }
    }

    /// The model of a repository, one at a time; `worker` is the program that reads headers.
    pub(super) async fn look(
        &self,
        worker: &Path,
        wanted: &Wanted,
    ) -> Result<RemoteModel, Failure> {
        let name = format!("{}@{}", wanted.repository, wanted.revision);
        let mut known = self.known.lock().await;
        known.retain(|_, (since, _)| since.elapsed() < KNOWN_FOR);
        if let Some((_, model)) = known.get(&name) {
            return Ok(model.clone());
        }
        let model = self.ask(worker, wanted).await?;
        if known.len() < KNOWN_MAX {
            known.insert(name, (Instant::now(), model.clone()));
        }
        Ok(model)
    }

    async fn ask(&self, worker: &Path, wanted: &Wanted) -> Result<RemoteModel, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("espalier-outline-")
            .tempdir();
        let folder = folder.map_err(|error| {
            let message = format!("cannot make a folder for what the hub says: {error}");
            Failure::new(ErrorCode::Internal, message)
                .hint("check the disk that holds temporary files")
        })?;
        let limits = Limits::hub(random::u64()?);
        let hub = self.token.shown_to(&self.hub);
        let found = outline(wanted, folder.path(), &hub, &limits).await?;
        tracing::debug!(repository = %wanted.repository, bytes = found.fetched_bytes, "looked at a model of the hub");
        Ok(RemoteModel {
            card: inspect(worker, folder.path(), None, None).await?,
            commit: found.commit,
            bytes: found.bytes,
        })
    }
}

/// The models to choose from, as they are shown.
pub(super) fn known_models() -> Vec<serve::KnownModel> {
    let shown = |model: &KnownModel| serve::KnownModel {
        name: model.name.clone(),
        alias: model.alias.clone(),
        family: model.family.clone(),
        layers: model.layers,
        context_tokens: model.context,
        repositories: (model.repositories.iter())
            .map(|repository| serve::KnownRepository {
                id: repository.id.clone(),
                format: repository.format.clone(),
                bytes: repository.bytes,
                active_bytes: model.active_bytes(repository),
            })
            .collect(),
    };
    store::known_models().iter().map(shown).collect()
}
