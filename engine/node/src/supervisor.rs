//! Starts, feeds, watches and ends the workers of this node. Owned by the cluster's actor, which tells it what to do
//! and hears what came of it as [`cluster::Event`]s. Never decides where anything runs.

mod activity;
mod inspect;
mod mlx;
mod pipes;
mod ports;
mod prepare;
mod process;
mod running;
mod shard;
mod start_frame;
mod streams;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use base::{ErrorCode, Failure};
use cluster::{Event, PrepareShard, ShardKey, StartShard};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use activity::Activity;
pub(crate) use inspect::inspect;
pub(crate) use running::Running;

use crate::models::LocalModels;
use crate::source::Source;
use ports::HeldPorts;
use prepare::PrepareTask;
use shard::ShardTask;

/// All workers end within this, or are killed with their tasks: one that listens needs milliseconds.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(3);

/// Events of all workers that wait for the actor. It handles one in microseconds; a worker that fills this waits.
const WORKER_EVENTS_MAX: usize = 256;

/// What every worker is started with.
#[derive(Debug, Clone)]
pub(crate) struct WorkerSettings {
    /// The worker program.
    pub(crate) program: PathBuf,
    /// Where files for running workers go.
    pub(crate) run_folder: PathBuf,
    /// Where they keep beginnings of prompts beyond their lives, if they do.
    pub(crate) prefixes: Option<KeptPrefixes>,
    /// Whether they guess what answers go on with.
    pub(crate) speculates: bool,
}

/// Where beginnings of prompts are kept, and how much of the disk they take.
#[derive(Debug, Clone)]
pub(crate) struct KeptPrefixes {
    pub(crate) root: PathBuf,
    pub(crate) bytes_max: u64,
}

/// The workers of this node, by shard.
pub(crate) struct Supervisor {
    settings: WorkerSettings,
    models: LocalModels,
    source: Source,
    events: mpsc::Sender<Event>,
    running: Running,
    shards: HashMap<ShardKey, Held>,
}

/// What this node holds for a shard.
enum Held {
    /// Ports alone.
    Ports(HeldPorts),
    /// A task that prepares the shard or has its worker. Dropping `stop` ends what it does.
    Task {
        stop: Option<oneshot::Sender<()>>,
        task: JoinHandle<()>,
    },
}

impl Supervisor {
    /// One without shards, and where its tasks say what becomes of theirs.
    pub(crate) fn new(
        settings: WorkerSettings,
        models: &LocalModels,
        source: &Source,
        running: &Running,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (events, heard) = mpsc::channel(WORKER_EVENTS_MAX);
        let supervisor = Self {
            settings,
            models: models.clone(),
            source: source.clone(),
            events,
            running: running.clone(),
            shards: HashMap::new(),
        };
        (supervisor, heard)
    }

    /// The workers that compute.
    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    /// Sees to it that a shard's files are here; what becomes of it comes as events.
    pub(crate) fn prepare(&mut self, prepare: PrepareShard) {
        let shard = prepare.shard;
        let task = PrepareTask {
            prepare,
            source: self.source.clone(),
            models: self.models.clone(),
            events: self.events.clone(),
        };
        self.spawn(shard, |stopped| task.run(stopped));
    }

    /// Takes ports for a shard.
    pub(crate) fn reserve(&mut self, shard: ShardKey, ring_ip: IpAddr, plan_ip: IpAddr) -> Event {
        let held = HeldPorts::take(ring_ip, plan_ip).and_then(|ports| {
            let numbers = ports.numbers().map_err(|error| {
                Failure::new(
                    ErrorCode::Internal,
                    format!("a port has no number: {error}"),
                )
            })?;
            Ok((ports, numbers))
        });
        match held {
            Ok((ports, (ring_port, plan_port))) => {
                self.shards.insert(shard, Held::Ports(ports));
                Event::Reserved {
                    shard,
                    ring_port,
                    plan_port,
                }
            }
            Err(failure) => Event::WorkerFailed { shard, failure },
        }
    }

    /// Starts a shard's worker; what becomes of it comes as events.
    pub(crate) fn start(&mut self, start: StartShard) {
        let shard = start.shard;
        let ports = match self.shards.remove(&shard) {
            Some(Held::Ports(ports)) => Some(ports),
            Some(Held::Task { .. }) | None => None,
        };
        let task = ShardTask {
            start,
            ports,
            settings: self.settings.clone(),
            models: self.models.clone(),
            events: self.events.clone(),
            running: self.running.clone(),
        };
        self.spawn(shard, |stopped| task.run(stopped));
    }

    /// Holds a task for a shard.
    fn spawn<F>(&mut self, shard: ShardKey, run: impl FnOnce(oneshot::Receiver<()>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let held = Held::Task {
            stop: Some(stop),
            task: tokio::spawn(run(stopped)),
        };
        self.shards.insert(shard, held);
    }

    /// Gives a shard up. The answer, if there is nothing to wait for; otherwise it comes as an event.
    pub(crate) fn stop(&mut self, shard: ShardKey) -> Option<Event> {
        match self.shards.get_mut(&shard) {
            Some(Held::Task { stop, .. }) => {
                // Its task ends with `Stopped`, or has just ended with something else: that counts as the answer.
                stop.take();
                None
            }
            Some(Held::Ports(_)) | None => {
                self.shards.remove(&shard);
                Some(Event::Stopped { shard })
            }
        }
    }

    /// Takes note of what a shard's task said, and says what it means: one that ended in any way while it was being
    /// stopped has stopped.
    pub(crate) fn heard(&mut self, event: Event) -> Event {
        let shard = match &event {
            Event::Prepared { shard }
            | Event::WorkerFailed { shard, .. }
            | Event::Stopped { shard } => *shard,
            _ => return event,
        };
        match self.shards.remove(&shard) {
            Some(Held::Task { stop: None, .. }) => Event::Stopped { shard },
            Some(Held::Task { .. } | Held::Ports(_)) | None => event,
        }
    }

    /// Ends all workers.
    pub(crate) async fn shut_down(mut self) {
        let mut tasks = Vec::new();
        for (_, held) in self.shards.drain() {
            if let Held::Task { stop, task } = held {
                drop(stop);
                tasks.push(task);
            }
        }
        let all = async {
            for task in &mut tasks {
                // A task that panicked has dropped its process, which kills it.
                let _ = task.await;
            }
        };
        if timeout(SHUTDOWN_LIMIT, all).await.is_err() {
            tasks.iter().for_each(JoinHandle::abort);
        }
    }
}
