//! Fetching a model from a Hugging Face hub: pinned to one commit, resumed to the byte, verified, in place only when whole.
//!
//! Owned by whoever polls [`download`]; dropping it stops everything, and the next one goes on from what was written. Never:
//! pickles or code, a byte outside the folder of models, an environment variable, a wait without a limit.

mod client;
mod digest;
mod disk;
mod error;
mod fetch;
mod listing;
mod name;
mod partial;
mod progress;
mod retry;
mod staging;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::Client;
pub use client::Hub;
pub use disk::{Disk, FreeBytes};
pub use error::DownloadError;
use fetch::Fetch;
use listing::Listing;
pub use name::{NameError, Repository, Wanted};
pub use progress::{Pace, Progress};
pub use retry::Patience;
use staging::Staging;
use tokio::sync::Semaphore;

use crate::ModelFolder;

/// How a download goes about it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Ranges that are fetched at once.
    pub streams: usize,
    /// Bytes of the ranges that a file is cut into. What an earlier run wrote of a file counts only for the same number.
    pub part_bytes: u64,
    /// An answer that stands still for so long is given up.
    pub stall_max: Duration,
    /// What is done about failures.
    pub patience: Patience,
    /// Where the bytes go.
    pub disk: Disk,
    /// Decides by how much waits are spread.
    pub chance: u64,
}

impl Limits {
    /// For a real hub. Eight streams fill fast lines; parts are large enough that asking for them costs nothing.
    pub fn hub(chance: u64) -> Self {
        Self {
            streams: 8,
            part_bytes: 256 << 20,
            stall_max: Duration::from_secs(30),
            patience: Patience::HUB,
            disk: Disk::real(),
            chance,
        }
    }
}

/// A model that is here, whole and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Its folder.
    pub folder: ModelFolder,
    /// The commit it is of.
    pub commit: String,
    /// It was here already, and nothing was fetched.
    pub was_here: bool,
}

/// Fetches a repository into `<models>/<owner>/<name>`. Needs a tokio runtime with time and network; files and hashes have
/// threads of their own.
pub async fn download(
    wanted: &Wanted,
    models: &Path,
    hub: &Hub,
    limits: &Limits,
    progress: &Progress,
) -> Result<Downloaded, DownloadError> {
    let client = Client::new(hub, limits.stall_max)?;
    let (place, repository) = (models.to_owned(), wanted.repository.clone());
    let staging = Arc::new(blocking(move || Staging::open(&place, &repository)).await?);
    let fetch = Fetch {
        client,
        wanted,
        staging: Arc::clone(&staging),
        limits,
        progress,
        streams: Semaphore::new(limits.streams),
    };
    if let Some(path) = staging.in_place() {
        let commit = fetch.listing().await?.commit;
        return already(staging, path, commit).await;
    }
    let commit = match staging.begun(wanted) {
        Some(listing) => match fetch.all(&listing).await {
            // The hub has forgotten that commit: what it has now may share most files with it.
            Err(DownloadError::NotFound { .. }) => fetch_anew(&fetch).await?,
            outcome => outcome.map(|()| listing.commit)?,
        },
        None => fetch_anew(&fetch).await?,
    };
    let folder = blocking(move || staging.install()).await?;
    Ok(Downloaded {
        folder,
        commit,
        was_here: false,
    })
}

/// Asks for the list of files, then for the files.
async fn fetch_anew(fetch: &Fetch<'_>) -> Result<String, DownloadError> {
    let listing: Listing = fetch.listing().await?;
    fetch.all(&listing).await?;
    Ok(listing.commit)
}

/// What to say when something is where the model belongs.
async fn already(
    staging: Arc<Staging>,
    path: PathBuf,
    commit: String,
) -> Result<Downloaded, DownloadError> {
    if path != staging.target() || staging::origin(&path).as_ref() != Some(&commit) {
        return Err(DownloadError::Taken { path });
    }
    let folder = blocking(move || {
        // An earlier run may have ended right after the model was in place.
        staging.clear()?;
        Ok(ModelFolder::check(&path)?)
    })
    .await?;
    Ok(Downloaded {
        folder,
        commit,
        was_here: true,
    })
}

/// Runs what touches the disk where it holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DownloadError> + Send + 'static,
) -> Result<T, DownloadError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Err(_) => Err(DownloadError::Unreachable {
            what: "the model".to_owned(),
            reason: "the program is ending".to_owned(),
        }),
    }
}
