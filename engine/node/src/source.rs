//! Where the node gets models from, and where they go: one for all that fetch, so that they share a limit of speed.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{Failure, HubRevision};
use store::Places;
use store::download::{
    DownloadError, Hub, Limits, Members, Progress, Wanted, destination, fetch_layers,
};
use tokio::time::sleep;

use crate::config::NodeConfig;
use crate::hub_token::HubToken;
use crate::random;

/// Between two looks at whether somebody else still downloads the same.
pub(crate) const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// The hub and the members, and the folders of models. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    hub: Hub,
    /// For that hub, unless it has one from the environment, as with Hugging Face's own tools.
    token: Arc<HubToken>,
    /// The folders of models.
    pub(crate) places: Places,
    pub(crate) limits: Limits,
}

impl Source {
    /// That of a node whose folders of models these are.
    pub(crate) fn of(
        config: &NodeConfig,
        token: &Arc<HubToken>,
        places: &Places,
        members: Arc<dyn Members>,
    ) -> Self {
        Self {
            hub: config.hub.clone(),
            token: Arc::clone(token),
            places: places.clone(),
            limits: Limits {
                members: Some(members),
                cache: config.hugging_face_cache.clone(),
                // It only spreads waits.
                ..Limits::hub(random::u64().unwrap_or_default())
            },
        }
    }

    /// The hub as it is asked now.
    pub(crate) fn hub(&self) -> Hub {
        self.token.shown_to(&self.hub)
    }

    /// The folder of models that a repository goes to.
    pub(crate) async fn destination(
        &self,
        wanted: &Wanted,
        progress: &Progress,
    ) -> Result<PathBuf, DownloadError> {
        let folders = self.places.writable();
        destination(wanted, folders, &self.hub(), &self.limits, progress).await
    }

    /// Fetches what some layers of a commit need. While another download of the same repository goes on it waits.
    pub(crate) async fn fetch_layers(
        &self,
        origin: &HubRevision,
        layers: &Range<u32>,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let wanted = Wanted::try_from(origin)?;
        loop {
            let folder = self.destination(&wanted, progress).await?;
            let (hub, layers) = (self.hub(), layers.clone());
            match fetch_layers(&wanted, layers, &folder, &hub, &self.limits, progress).await {
                Err(DownloadError::Busy { .. }) => sleep(BUSY_PAUSE).await,
                fetched => return Ok(fetched.map(drop)?),
            }
        }
    }
}
