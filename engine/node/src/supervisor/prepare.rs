//! What comes before a shard takes ports: its files have to be on this node's disks. What is not there is fetched.
//!
//! One task for each shard. It ends with exactly one of `Prepared`, `WorkerFailed` and `Stopped` (as asked).

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use base::{ErrorCode, Failure};
use cluster::{Event, PrepareShard};
use futures::FutureExt;
use store::download::Progress;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::models::LocalModels;
use crate::source::Source;

/// How often is told what has come.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Everything that preparing a shard works with.
pub(super) struct PrepareTask {
    pub(super) prepare: PrepareShard,
    pub(super) models: LocalModels,
    pub(super) source: Source,
    pub(super) events: mpsc::Sender<Event>,
}

impl PrepareTask {
    /// Lives until the files are there or are not to be had. `stop` is also obeyed when its sender is dropped.
    pub(super) async fn run(self, stop: oneshot::Receiver<()>) {
        let shard = self.prepare.shard;
        let progress = Progress::default();
        // Whatever happens, the cluster waits for an answer.
        let preparing = AssertUnwindSafe(self.prepare(&progress)).catch_unwind();
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
            never = self.tell(&progress) => match never {},
        };
        // The actor is gone only when the node is going.
        let _ = self.events.send(event).await;
    }

    /// Returns when the files of the shard are on this node's disks. Dropping it stops what it does; what came stays.
    async fn prepare(&self, progress: &Progress) -> Result<(), Failure> {
        let (wanted, layers) = (&self.prepare, &self.prepare.spec.layers);
        let located = self.models.locate_layers(wanted.into(), layers.clone());
        match (located.await, &wanted.origin) {
            (Err(_), Some(origin)) => {
                self.source.fetch_layers(origin, layers, progress).await?;
                self.models.have_changed();
                Ok(())
            }
            (located, _) => located.map(drop),
        }
    }

    /// Tells what has come, as long as there is something to fetch.
    async fn tell(&self, progress: &Progress) -> Infallible {
        let shard = self.prepare.shard;
        loop {
            sleep(TELL_EVERY).await;
            if progress.total_bytes() > 0 {
                // For people to watch; the next one comes soon.
                let _ = self.events.try_send(Event::Fetching {
                    shard,
                    bytes_done: progress.done_bytes(),
                    bytes_total: progress.total_bytes(),
                });
            }
        }
    }
}

/// A defect of ours, logged where it happened.
fn broke_off() -> Failure {
    let message = "looking for the model's files broke off";
    Failure::new(ErrorCode::Internal, message).hint("the node's log says more")
}
