//! Fetching a model from a Hugging Face hub: pinned to one commit, resumed to the byte, verified, in place only when whole.
//!
//! Owned by whoever polls [`download`]; dropping it stops everything, and the next one goes on from what was written. Never:
//! pickles or code, a byte outside the folder of models, an environment variable, a wait without a limit.

mod arriving;
mod beacon;
mod client;
mod destination;
mod digest;
mod disk;
mod error;
mod fetch;
mod headers;
mod journal;
mod layers;
mod lenders;
mod listing;
mod members;
mod name;
mod outline;
mod partial;
mod progress;
mod retry;
mod shared;
mod shelf;
mod staging;
mod throttle;
mod unfinished;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::Client;
pub use client::Hub;
pub use destination::{destination, has_begun_in, is_there};
pub use disk::{Disk, FreeBytes, free_bytes};
pub use error::DownloadError;
use fetch::Fetch;
pub(crate) use layers::parts_in;
pub use layers::{HeldPart, held_layers, held_part};
pub use members::Members;
use members::Mirror;
pub use name::{NameError, Repository, Wanted};
pub use outline::{Outline, outline};
pub use progress::{Doing, Pace, Progress};
pub use retry::Patience;
pub use shared::{Shared, SharedBytes};
pub use shelf::origin;
pub(crate) use staging::ORIGIN;
use staging::Staging;
pub use throttle::Throttle;
use tokio::sync::Semaphore;
pub(crate) use unfinished::{Left, Unfinished, is_as_downloaded, remove_damaged};

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
    /// How fast they come, together with those of all other downloads that share it.
    pub throttle: Arc<Throttle>,
    /// Who may have the same files: they are asked before the hub, and what they send is not throttled.
    pub members: Option<Arc<dyn Members>>,
    /// The cache of Hugging Face's own tools: what it has need not be fetched.
    pub cache: Option<PathBuf>,
    /// Decides by how much waits are spread.
    pub chance: u64,
}

impl Limits {
    /// For a real hub. Eight streams fill fast lines; parts are large enough that asking for them costs little, and small enough
    /// that several members have some of a file to fetch at the same time.
    pub fn hub(chance: u64) -> Self {
        Self {
            streams: 8,
            part_bytes: 64 << 20,
            stall_max: Duration::from_secs(30),
            patience: Patience::HUB,
            disk: Disk::real(),
            throttle: Arc::default(),
            members: None,
            cache: None,
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

/// All files of a model, verified, and not in their place yet. As long as it lives nobody else downloads that repository.
#[derive(Debug)]
pub struct Fetched {
    staging: Arc<Staging>,
    commit: String,
    /// The model is in its place already.
    was_here: bool,
}

/// Fetches a repository into `<models>/<owner>/<name>`; `models` must be there. Needs a tokio runtime with time and network; files and hashes have
/// threads of their own.
pub async fn download(
    wanted: &Wanted,
    models: &Path,
    hub: &Hub,
    limits: &Limits,
    progress: &Progress,
) -> Result<Downloaded, DownloadError> {
    let fetched = fetch(wanted, models, hub, limits, progress).await?;
    fetched.install().await
}

/// The same up to the last step, for whoever has to wait with that until nobody uses the files that it replaces.
pub async fn fetch(
    wanted: &Wanted,
    models: &Path,
    hub: &Hub,
    limits: &Limits,
    progress: &Progress,
) -> Result<Fetched, DownloadError> {
    fetch_some(wanted, None, models, hub, limits, progress).await
}

/// Fetches what some layers of a model need, of one commit, which `wanted` names; the folder to load them from. If that is all of
/// the model it is put in its place, unless another commit is there; else the rest can be fetched later.
pub async fn fetch_layers(
    wanted: &Wanted,
    layers: Range<u32>,
    models: &Path,
    hub: &Hub,
    limits: &Limits,
    progress: &Progress,
) -> Result<PathBuf, DownloadError> {
    let fetched = fetch_some(wanted, Some(layers), models, hub, limits, progress).await?;
    let staging = &fetched.staging;
    if fetched.was_here {
        return Ok(staging.target().to_owned());
    }
    if staging.is_whole() && fetched.replaces().is_none() {
        return Ok(fetched.install().await?.folder.path);
    }
    Ok(staging.files().to_owned())
}

async fn fetch_some(
    wanted: &Wanted,
    layers: Option<Range<u32>>,
    models: &Path,
    hub: &Hub,
    limits: &Limits,
    progress: &Progress,
) -> Result<Fetched, DownloadError> {
    let client = Client::of(hub, limits)?;
    let (place, repository) = (models.to_owned(), wanted.repository.clone());
    let staging = Arc::new(blocking(move || Staging::open(&place, &repository)).await?);
    let here = staging.commit_in_place()?;
    let mut mirror = Mirror::new(limits.members.as_deref(), wanted);
    if client.is_some() {
        mirror = mirror.taking_turns(staging.beacon()?);
    }
    // With members, those too that wait for what others fetch.
    let parts = limits.streams + limits.members.as_ref().map_or(0, |_| limits.streams / 2);
    let fetch = Fetch {
        client,
        wanted,
        layers,
        staging: Arc::clone(&staging),
        limits,
        progress,
        parts: Semaphore::new(parts),
        hub_streams: Semaphore::new(limits.streams),
        lent_streams: Semaphore::new(limits.streams),
        mirror,
    };
    let mut done = None;
    if let Some(listing) = staging.begun(wanted, here.as_deref()) {
        done = match fetch.new_files(listing, here.as_deref()).await {
            // The hub has forgotten that commit: what it has now may share most files with it.
            Err(DownloadError::NotFound { .. }) => None,
            outcome => Some(outcome?),
        };
    }
    let (commit, was_here) = if let Some(done) = done {
        done
    } else {
        let listing = fetch.listing().await?;
        fetch.new_files(listing, here.as_deref()).await?
    };
    Ok(Fetched {
        staging,
        commit,
        was_here,
    })
}

/// Forgets what was fetched of a repository and is not in its place.
pub async fn discard(models: &Path, repository: &Repository) -> Result<(), DownloadError> {
    let (models, repository) = (models.to_owned(), repository.clone());
    blocking(move || Staging::open(&models, &repository)?.clear()).await
}

impl Fetched {
    /// The folder of another commit, whose place it will take.
    pub fn replaces(&self) -> Option<PathBuf> {
        let target = self.staging.target();
        (!self.was_here && target.is_dir()).then(|| target.to_owned())
    }

    /// Puts the model in its place, in one step.
    pub async fn install(self) -> Result<Downloaded, DownloadError> {
        let Self {
            staging,
            commit,
            was_here,
        } = self;
        let folder = blocking(move || {
            if was_here {
                // An earlier run may have ended right after the model was in place.
                staging.clear()?;
                return Ok(ModelFolder::check(staging.target())?);
            }
            staging.install()
        });
        Ok(Downloaded {
            folder: folder.await?,
            commit,
            was_here,
        })
    }
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
