//! One download: fetched, then put in its place as soon as nobody uses what is there. Dropped, it can go on later.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::Failure;
use store::ModelFolder;
use store::download::{DownloadError, Progress, Wanted, discard, fetch, has_begun_in, is_there};
use tokio::time::{Instant, sleep};

use super::queue::Entry;
use crate::disk::Disks;
use crate::models::is_open;
use crate::source::{BUSY_PAUSE, Source};

/// Files that are being verified when a download is cancelled are let go after this: 30 GB take so long.
const DISCARD_LIMIT: Duration = Duration::from_secs(50);
const DISCARD_PAUSE: Duration = Duration::from_millis(50);

/// What downloads work with.
pub(super) struct Works {
    pub(super) source: Source,
    pub(super) disks: Disks,
}

/// What there is to see of a download while it runs.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) progress: Progress,
    /// Whether it had begun in its folder when it was listed.
    had_begun: bool,
    waits: Mutex<Option<String>>,
    folder: Mutex<Option<PathBuf>>,
}

impl Watched {
    /// One that goes on as it is listed.
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            had_begun: entry.folder.is_some(),
            folder: Mutex::new(entry.folder.clone()),
            ..Self::default()
        }
    }

    /// What it waits for, if it only waits.
    pub(super) fn waits(&self) -> Option<String> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.clone()
    }

    fn waits_for(&self, what: Option<String>) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// The folder of models in which it has begun, if it has.
    pub(super) fn begun_in(&self) -> Option<PathBuf> {
        self.folder().filter(|_| self.has_begun())
    }

    /// A commit is known only after its place there was made.
    fn has_begun(&self) -> bool {
        self.had_begun || self.progress.commit().is_some()
    }

    /// The folder of models that it goes to, once that is decided.
    fn folder(&self) -> Option<PathBuf> {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder.clone()
    }

    fn goes_to(&self, folder: &Path) {
        let mut kept = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(folder.to_owned());
    }
}

impl Works {
    /// Brings a model here; its commit. While its folder's disk is gone it waits.
    pub(super) async fn bring(
        &self,
        wanted: &Wanted,
        watched: &Watched,
    ) -> Result<String, Failure> {
        loop {
            let folder = self.folder(wanted, watched).await?;
            match self.bring_to(&folder, wanted, watched).await {
                // Also this node itself, for the moment that a paused one needs to let go.
                Err(DownloadError::Busy { .. }) => {
                    watched.waits_for(Some("another process downloads it".to_owned()));
                    sleep(BUSY_PAUSE).await;
                    watched.waits_for(None);
                }
                Err(error) if self.finds(&folder, watched).await => {
                    return Err(self.explained(error, &folder, wanted).await);
                }
                Err(error) => {
                    tracing::warn!(folder = %folder.display(), %error, "a folder of models is gone");
                }
                Ok(commit) => return Ok(commit),
            }
        }
    }

    /// An error as its user hears of it: of a full disk, what to delete.
    async fn explained(&self, error: DownloadError, folder: &Path, wanted: &Wanted) -> Failure {
        let missing_bytes = match &error {
            DownloadError::DiskFull { needed, free, .. } => needed.saturating_sub(*free),
            _ => 0,
        };
        let failure = Failure::from(error);
        if missing_bytes == 0 {
            return failure;
        }
        let model = wanted.repository.to_string();
        match self.disks.hint(missing_bytes, folder, &model).await {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// Where it goes: where it went before, as long as that is a folder of the settings, also if that has to be waited for.
    async fn folder(&self, wanted: &Wanted, watched: &Watched) -> Result<PathBuf, DownloadError> {
        while let Some(folder) = watched.folder()
            && self.source.places.writable().contains(&folder)
        {
            if self.finds(&folder, watched).await {
                watched.waits_for(None);
                return Ok(folder);
            }
            let what = format!(
                "{} is not there now: is its disk connected?",
                folder.display()
            );
            watched.waits_for(Some(what));
            sleep(BUSY_PAUSE).await;
        }
        watched.waits_for(None);
        let folder = self.source.destination(wanted, &watched.progress).await?;
        watched.goes_to(&folder);
        Ok(folder)
    }

    /// Whether the folder that it goes to is there. Of a user's folder that is the one in which it began.
    async fn finds(&self, folder: &Path, watched: &Watched) -> bool {
        if watched.has_begun() && folder != self.source.places.own() {
            looks(folder, has_begun_in).await
        } else {
            looks(folder, is_there).await
        }
    }

    async fn bring_to(
        &self,
        folder: &Path,
        wanted: &Wanted,
        watched: &Watched,
    ) -> Result<String, DownloadError> {
        let (hub, limits) = (self.source.hub(), &self.source.limits);
        let fetched = fetch(wanted, folder, &hub, limits, &watched.progress).await?;
        if let Some(folder) = fetched.replaces() {
            self.until_closed(folder, watched).await;
        }
        let installed = fetched.install().await?;
        self.disks.models.have_changed();
        Ok(installed.commit)
    }

    /// Waits until no instance uses the files of a folder.
    async fn until_closed(&self, folder: PathBuf, watched: &Watched) {
        let checking = tokio::task::spawn_blocking(move || ModelFolder::check(&folder));
        // A damaged one runs nowhere.
        let Ok(Ok(model)) = checking.await else {
            return;
        };
        let mut changes = self.disks.cluster.changes();
        let open = |view: &cluster::ClusterView| is_open(view, model.fingerprint);
        while open(&changes.borrow_and_update()) {
            let what = "the older one is open; the newer one takes its place when that is unloaded";
            watched.waits_for(Some(what.to_owned()));
            if changes.changed().await.is_err() {
                return;
            }
        }
        watched.waits_for(None);
    }

    /// Deletes what a download has left that was just stopped. Of a folder that is not there nothing can be deleted.
    pub(super) async fn delete(&self, entry: &Entry) -> Result<(), Failure> {
        let folder = entry.folder.as_ref().unwrap_or(self.source.places.own());
        let start = Instant::now();
        while looks(folder, has_begun_in).await {
            match discard(folder, &entry.wanted.repository).await {
                Err(DownloadError::Busy { .. }) if start.elapsed() < DISCARD_LIMIT => {
                    sleep(DISCARD_PAUSE).await;
                }
                outcome => return Ok(outcome?),
            }
        }
        Ok(())
    }
}

/// Asks of a folder where it holds up nobody: a network disk may not answer.
async fn looks(folder: &Path, is_so: fn(&Path) -> bool) -> bool {
    let folder = folder.to_owned();
    let looking = tokio::task::spawn_blocking(move || is_so(&folder));
    looking.await.unwrap_or(false)
}
