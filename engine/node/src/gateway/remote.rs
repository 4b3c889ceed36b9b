//! Models that a hub has and this node has not: what they are, by what a hub tells of them without sending them.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use base::{CacheBits, ErrorCode, Failure, ModelCard, QuantizedBits};
use store::KnownModel;
use store::download::{Limits, Wanted, outline};
use tokio::sync::Mutex;

use crate::random;
use crate::source::Source;
use crate::supervisor::inspect;

/// Repositories that are remembered: as many as anybody looks at before choosing.
const KNOWN_MAX: usize = 64;
/// Their owners change them now and then.
const KNOWN_FOR: Duration = Duration::from_mins(10);

/// To how many bits a model is to be quantized, and its cache.
type Bits = (Option<QuantizedBits>, Option<CacheBits>);

/// Looks at models of a hub.
pub(crate) struct Remote {
    source: Source,
    known: Mutex<HashMap<(String, Bits), (Instant, RemoteModel)>>,
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
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            known: Mutex::default(),
        }
    }

    /// The model of a repository, one at a time; `worker` is the program that reads headers.
    pub(super) async fn look(
        &self,
        worker: &Path,
        wanted: &Wanted,
        bits: Bits,
    ) -> Result<RemoteModel, Failure> {
        let name = (format!("{}@{}", wanted.repository, wanted.revision), bits);
        let mut known = self.known.lock().await;
        known.retain(|_, (since, _)| since.elapsed() < KNOWN_FOR);
        if let Some((_, model)) = known.get(&name) {
            return Ok(model.clone());
        }
        let model = self.ask(worker, wanted, bits).await?;
        if known.len() < KNOWN_MAX {
            known.insert(name, (Instant::now(), model.clone()));
        }
        Ok(model)
    }

    async fn ask(
        &self,
        worker: &Path,
        wanted: &Wanted,
        (quantize, kv_bits): Bits,
    ) -> Result<RemoteModel, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("espalier-outline-")
            .tempdir();
        let folder = folder.map_err(|error| {
            let message = format!("cannot make a folder for what the hub says: {error}");
            Failure::new(ErrorCode::Internal, message)
                .hint("check the disk that holds temporary files")
        })?;
        let limits = Limits::hub(random::u64()?);
        let found = outline(wanted, folder.path(), &self.source.hub(), &limits).await?;
        tracing::debug!(repository = %wanted.repository, bytes = found.fetched_bytes, "looked at a model of the hub");
        Ok(RemoteModel {
            card: inspect(worker, folder.path(), quantize, kv_bits).await?,
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
