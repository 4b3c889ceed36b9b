//! One download: fetched, then put in its place as soon as nobody uses what is there. Dropped, it can go on later.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::Failure;
use store::ModelFolder;
use store::download::{DownloadError, Hub, Limits, Progress, Repository, Wanted, discard, fetch};
use tokio::time::{Instant, sleep};

use crate::cluster_actor::ClusterHandle;
use crate::hub_token::HubToken;
use crate::models::is_open;

/// Between two looks at whether somebody else still downloads the same.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// Files that are being verified when a download is cancelled are let go after this: 30 GB take so long.
const DISCARD_LIMIT: Duration = Duration::from_secs(50);
const DISCARD_PAUSE: Duration = Duration::from_millis(50);

/// What downloads work with.
pub(super) struct Works {
    pub(super) hub: Hub,
    /// For that hub, unless it has one from the environment, as with Hugging Face's own tools.
    pub(super) token: Arc<HubToken>,
    /// The folder of models.
    pub(super) models: PathBuf,
    pub(super) limits: Limits,
    pub(super) cluster: ClusterHandle,
}

/// What there is to see of a download while it runs.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) progress: Progress,
    waits: Mutex<Option<String>>,
}

impl Watched {
    /// What it waits for, if it only waits.
    pub(super) fn waits(&self) -> Option<String> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.clone()
    }

    fn waits_for(&self, what: Option<String>) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }
}

impl Works {
    /// Brings a model here; its commit.
    pub(super) async fn bring(
        &self,
        wanted: &Wanted,
        watched: &Watched,
    ) -> Result<String, Failure> {
        let fetched = loop {
            let progress = &watched.progress;
            match fetch(
                wanted,
                &self.models,
                &self.token.shown_to(&self.hub),
                &self.limits,
                progress,
            )
            .await
            {
                // Also this node itself, for the moment that a paused one needs to let go.
                Err(DownloadError::Busy { .. }) => {
                    watched.waits_for(Some("another process downloads it".to_owned()));
                    sleep(BUSY_PAUSE).await;
                }
                outcome => break outcome?,
            }
            watched.waits_for(None);
        };
        if let Some(folder) = fetched.replaces() {
            self.until_closed(folder, watched).await;
        }
        Ok(fetched.install().await?.commit)
    }

    /// Waits until no instance uses the files of a folder.
    async fn until_closed(&self, folder: PathBuf, watched: &Watched) {
        let checking = tokio::task::spawn_blocking(move || ModelFolder::check(&folder));
        // A damaged one runs nowhere.
        let Ok(Ok(model)) = checking.await else {
            return;
        };
        let mut changes = self.cluster.changes();
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
}

/// Deletes what a download has left that was just stopped.
pub(super) async fn delete(models: &Path, repository: &Repository) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        match discard(models, repository).await {
            Err(DownloadError::Busy { .. }) if start.elapsed() < DISCARD_LIMIT => {
                sleep(DISCARD_PAUSE).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}
