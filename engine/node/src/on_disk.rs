//! Tells the cluster which models lie whole on this node's disks, so that plans prefer nodes that have nothing to fetch.

use std::time::Duration;

use tokio::time::sleep;

use crate::cluster_actor::{ClusterHandle, Leaving};
use crate::models::LocalModels;

/// How often the disks are looked at though nobody here has changed anything: other programs put models there, and
/// disks come and go. What has not changed costs no more than asking for the files' sizes and times.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);

/// Runs as long as the node does.
pub(crate) async fn keep_telling(models: LocalModels, cluster: ClusterHandle) {
    while tell(&models, &cluster).await.is_ok() {
        tokio::select! {
            () = models.changed() => {}
            () = sleep(LOOK_INTERVAL) => {}
        }
    }
}

/// Tells what there is now.
pub(crate) async fn tell(models: &LocalModels, cluster: &ClusterHandle) -> Result<(), Leaving> {
    match models.whole().await {
        Ok(whole) => cluster.has_models(whole).await,
        // What was told before still stands.
        Err(failure) => {
            tracing::warn!(%failure, "this node's models were not counted");
            Ok(())
        }
    }
}
