//! What comes before a shard takes ports: its files have to be on this node's disks.
//!
//! One task for each shard. It ends with exactly one of `Prepared`, `WorkerFailed` and `Stopped` (as asked).

use std::panic::AssertUnwindSafe;

use base::{ErrorCode, Failure};
use cluster::{Event, PrepareShard};
use futures::FutureExt;
use tokio::sync::{mpsc, oneshot};

use crate::models::LocalModels;

/// Everything that preparing a shard works with.
pub(super) struct PrepareTask {
    pub(super) prepare: PrepareShard,
    pub(super) models: LocalModels,
    pub(super) events: mpsc::Sender<Event>,
}

impl PrepareTask {
    /// Lives until the files are there or are not to be had. `stop` is also obeyed when its sender is dropped.
    pub(super) async fn run(self, stop: oneshot::Receiver<()>) {
        let shard = self.prepare.shard;
        // Whatever happens, the cluster waits for an answer.
        let preparing = AssertUnwindSafe(prepare(&self.models, &self.prepare)).catch_unwind();
        let event = tokio::select! {
            biased;
            _ = stop => Event::Stopped { shard },
            outcome = preparing => match outcome.unwrap_or_else(|_| Err(broke_off())) {
                Ok(()) => Event::Prepared { shard },
                Err(failure) => {
                    let (model, rank) = (&self.prepare.model, self.prepare.spec.rank);
                    tracing::warn!(%failure, %model, rank, "a shard's files are not there");
                    Event::WorkerFailed { shard, failure }
                }
            },
        };
        // The actor is gone only when the node is going.
        let _ = self.events.send(event).await;
    }
}

/// Returns when the files of a shard are on this node's disks. Dropping it stops what it does.
async fn prepare(models: &LocalModels, wanted: &PrepareShard) -> Result<(), Failure> {
    let PrepareShard {
        model,
        folder,
        fingerprint,
        ..
    } = wanted;
    models.locate(model, folder, *fingerprint).await?;
    Ok(())
}

/// A defect of ours, logged where it happened.
fn broke_off() -> Failure {
    let message = "looking for the model's files broke off";
    Failure::new(ErrorCode::Internal, message).hint("the node's log says more")
}
