//! The life of one shard's worker: find the model's folder, start the process, load, compute, end.
//!
//! One task for each shard. It ends with exactly one of `Stopped` (as asked) and `WorkerFailed`.

use std::time::Duration;

use base::{ErrorCode, Failure};
use cluster::{Event, ShardKey, StartShard};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};
use wire::worker::{FromWorker, ToWorker};

use super::WorkerSettings;
use super::mlx::MlxVariables;
use super::ports::HeldPorts;
use super::process::Process;
use super::running::{Running, WorkerHandle};
use super::start_frame::{Folders, start_frame};
use super::streams::Streams;
use crate::models::LocalModels;

/// A worker with requests says something after every step. The longest honest step is a chunk of prefill of a model
/// that is far too large for its machine; a rank that hangs in a collective, for whatever reason, says nothing for ever.
const STEP_LIMIT: Duration = Duration::from_secs(20);
/// How often that is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Everything a shard's task works with.
pub(super) struct ShardTask {
    pub(super) start: StartShard,
    pub(super) ports: Option<HeldPorts>,
    pub(super) settings: WorkerSettings,
    pub(super) models: LocalModels,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) running: Running,
}

impl ShardTask {
    /// Lives until the worker is gone. `stop` is also obeyed when its sender is dropped.
    pub(super) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        let shard = self.start.shard;
        let outcome = match self.begin(&mut stop).await {
            Ok(Some((process, variables))) => {
                let outcome = self.attend(process, &mut stop).await;
                // MLX reads its host file at init, but a worker may die and say so before: the file stays till then.
                drop(variables);
                outcome
            }
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        let event = match outcome {
            Ok(()) => Event::Stopped { shard },
            Err(failure) => {
                tracing::warn!(%failure, model = %self.start.model, rank = self.start.rank, "a worker failed");
                Event::WorkerFailed { shard, failure }
            }
        };
        // The actor is gone only when the node is going.
        let _ = self.events.send(event).await;
    }

    async fn folders(&self) -> Result<Folders, Failure> {
        let start = &self.start;
        let model = self
            .models
            .locate_layers(start.into(), start.layers.clone());
        let draft = match &start.draft {
            Some(draft) => {
                let found = self.models.locate_whole(draft.into()).await;
                // It answers the same without, as after the loss of the node that had it.
                let missing =
                    |error: &Failure| tracing::warn!(%error, "nothing drafts for the model");
                found.inspect_err(missing).ok()
            }
            None => None,
        };
        Ok(Folders {
            model: model.await?,
            draft,
        })
    }

    /// Up to the running process; `None` when told to stop before.
    async fn begin(
        &mut self,
        stop: &mut oneshot::Receiver<()>,
    ) -> Result<Option<(Process, MlxVariables)>, Failure> {
        let folders = tokio::select! {
            biased;
            _ = stop => return Ok(None),
            folders = self.folders() => folders?,
        };
        let frame = start_frame(&self.start, folders, &self.settings);
        let run_folder = &self.settings.run_folder;
        let variables = MlxVariables::prepare(&self.start, run_folder).map_err(|error| {
            let folder = run_folder.display();
            Failure::new(
                ErrorCode::Internal,
                format!("cannot write to {folder}: {error}"),
            )
            .hint("check the free space and who owns the folder")
        })?;
        let label = format!("{} rank {}", self.start.model, self.start.rank);
        // The worker takes them over; between the two nobody holds them, and if another program is faster the
        // worker fails and the shard is placed again.
        drop(self.ports.take());
        let process = Process::spawn(&self.settings.program, &variables.pairs(), label)?;
        process
            .write(&ToWorker::Start(frame))
            .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
        self.tell(Event::WorkerStarted {
            shard: self.start.shard,
        })
        .await;
        Ok(Some((process, variables)))
    }

    /// Until the worker ends by itself (`Err`) or as asked (`Ok`).
    async fn attend(
        &self,
        mut process: Process,
        stop: &mut oneshot::Receiver<()>,
    ) -> Result<(), Failure> {
        let streams = Streams::default();
        let _closing = CloseOnDrop {
            shard: self.start.shard,
            running: &self.running,
            streams: &streams,
        };
        let writer = process.writer();
        let mut fatal = None;
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                biased;
                _ = &mut *stop => {
                    // Whoever waits for an answer hears at once that it must look for the next plan.
                    streams.close();
                    process.end().await;
                    return Ok(());
                }
                frame = process.next() => match frame {
                    Ok(Some(FromWorker::Fatal(failure))) => fatal = Some(failure),
                    Ok(Some(frame)) => {
                        heard = Instant::now();
                        self.handle(frame, &process, &streams).await;
                    }
                    Ok(None) => {
                        streams.close();
                        let death = process.death().await;
                        return Err(fatal.unwrap_or(death));
                    }
                    Err(error) => {
                        streams.close();
                        process.end().await;
                        return Err(Failure::new(ErrorCode::WorkerLost, error.to_string()));
                    }
                },
                // After the frames: what a dying worker said last still counts.
                () = writer.closed() => {
                    streams.close();
                    process.end().await;
                    let stuck = Failure::new(ErrorCode::WorkerLost, "the worker stopped reading");
                    return Err(fatal.unwrap_or(stuck));
                }
                () = sleep(LOOK_INTERVAL) => {
                    if streams.count() == 0 {
                        heard = Instant::now();
                    } else if heard.elapsed() > STEP_LIMIT {
                        streams.close();
                        process.end().await;
                        return Err(hangs());
                    }
                }
            }
        }
    }

    async fn handle(&self, frame: FromWorker, process: &Process, streams: &Streams) {
        let shard = self.start.shard;
        match frame {
            FromWorker::Events(events) => {
                for (request, event) in events {
                    if streams.deliver(request, event).is_err() {
                        // If even this cannot be queued, the next event says it again.
                        let _ = process.write(&ToWorker::Cancel(request));
                    }
                }
            }
            FromWorker::Progress {
                bytes_done,
                bytes_total,
            } => {
                // For people to watch; the next one comes soon.
                let _ = self.events.try_send(Event::Progress {
                    shard,
                    bytes_done,
                    bytes_total,
                });
            }
            FromWorker::Ready { load_ms } => {
                tracing::info!(model = %self.start.model, rank = self.start.rank, load_ms, "a worker is ready");
                if self.start.rank == 0 {
                    let handle = WorkerHandle::new(streams.clone(), process.writer());
                    self.running.insert(shard, handle);
                }
                self.tell(Event::WorkerReady { shard }).await;
            }
            FromWorker::Stats(stats) => self.running.report(shard, &stats),
            FromWorker::Card(_) | FromWorker::Fatal(_) => {
                tracing::warn!("a worker answered what it was not asked");
            }
        }
    }

    async fn tell(&self, event: Event) {
        // The actor is gone only when the node is going.
        let _ = self.events.send(event).await;
    }
}

fn hangs() -> Failure {
    let message = format!("the worker has not finished a step for {STEP_LIMIT:?}");
    Failure::new(ErrorCode::WorkerLost, message)
}

/// Ends the streams and forgets the worker however its task ends.
struct CloseOnDrop<'a> {
    shard: ShardKey,
    running: &'a Running,
    streams: &'a Streams,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.running.remove(self.shard);
        self.streams.close();
    }
}
