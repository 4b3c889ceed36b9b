//! The workers of this node that drive an instance (rank 0) and compute, and how to ask one for an answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{ErrorCode, Failure, InstanceId, KeepAlive, TokenRequest};
use cluster::ShardKey;
use serve::{Counter, Metrics, SecondsCounter};
use tokio::sync::watch;
use tokio::time::Instant;
use wire::worker::{Stats, ToWorker};

use super::activity::{Activity, Meter};
use super::pipes::{FrameWriter, WriteError};
use super::streams::{Streams, TokenStream};
use crate::user_data::milliseconds_since_1970;

/// Shared by the shards' tasks, which add and remove, and the gateway, which looks up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    workers: Arc<Mutex<HashMap<ShardKey, Entry>>>,
    activity: Arc<watch::Sender<Vec<Activity>>>,
    masks: MaskCounters,
    guesses: GuessCounters,
}

/// What grammars take, of all workers here that drive an instance.
#[derive(Debug, Clone, Default)]
struct MaskCounters {
    worked: SecondsCounter,
    waited: SecondsCounter,
}

/// Guesses at what answers go on with, of the same workers.
#[derive(Debug, Clone, Default)]
struct GuessCounters {
    computed: Counter,
    right: Counter,
}

#[derive(Debug)]
struct Entry {
    handle: WorkerHandle,
    meter: Meter,
    /// Of its masks so much is counted, in microseconds.
    masks_worked_us: u64,
    masks_waited_us: u64,
    /// Of its guesses so many are counted.
    guessed: u64,
    accepted: u64,
}

/// A worker of rank 0 that computes.
#[derive(Debug, Clone)]
pub(crate) struct WorkerHandle {
    streams: Streams,
    writer: FrameWriter,
    /// Held by whoever is about to ask.
    holders: Arc<()>,
}

impl Running {
    /// None yet; what they count goes to `metrics` too.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let masks = MaskCounters {
            worked: metrics.seconds("mask", "Time spent on what grammars allow next"),
            waited: metrics.seconds(
                "mask_wait",
                "Time that steps waited for what grammars allow",
            ),
        };
        let guesses = GuessCounters {
            computed: metrics.counter("guessed_tokens", "Guesses at tokens that were computed"),
            right: metrics.counter("accepted_tokens", "Guesses at tokens that were right"),
        };
        Self {
            masks,
            guesses,
            ..Self::default()
        }
    }

    /// The worker here that drives a generation of an instance, whichever of its plans that is.
    pub(crate) fn driver_of(&self, instance: InstanceId, generation: u32) -> Option<WorkerHandle> {
        let mut workers = self.lock();
        let found = workers
            .iter_mut()
            .find(|(key, _)| key.instance == instance && key.generation == generation);
        let (_, entry) = found?;
        entry.meter.asked(milliseconds_since_1970());
        let handle = entry.handle.clone();
        self.publish(&workers);
        Some(handle)
    }

    /// How long an instance that is driven here stays after its last request, as a client wants it.
    pub(crate) fn keep(&self, instance: InstanceId, keep_alive: KeepAlive) {
        let mut workers = self.lock();
        for (_, entry) in workers
            .iter_mut()
            .filter(|(key, _)| key.instance == instance)
        {
            entry.meter.activity.keep_alive = Some(keep_alive);
        }
        self.publish(&workers);
    }

    /// Whether an instance is driven here and nobody uses it. From then on nobody can.
    pub(crate) fn retire(&self, instance: InstanceId) -> bool {
        let mut workers = self.lock();
        let of_it = |key: &ShardKey| key.instance == instance;
        let mut entries = workers.iter().filter(|(key, _)| of_it(key)).peekable();
        let unused = entries.peek().is_some() && entries.all(|(_, entry)| entry.handle.is_unused());
        if unused {
            workers.retain(|key, _| !of_it(key));
            self.publish(&workers);
        }
        unused
    }

    /// Follows what the workers of this node that drive an instance are doing.
    pub(crate) fn activity(&self) -> watch::Receiver<Vec<Activity>> {
        self.activity.subscribe()
    }

    pub(super) fn insert(&self, shard: ShardKey, handle: WorkerHandle) {
        let meter = Meter::new(shard.instance, milliseconds_since_1970());
        let mut workers = self.lock();
        let entry = Entry {
            handle,
            meter,
            masks_worked_us: 0,
            masks_waited_us: 0,
            guessed: 0,
            accepted: 0,
        };
        workers.insert(shard, entry);
        self.publish(&workers);
    }

    pub(super) fn remove(&self, shard: ShardKey) {
        let mut workers = self.lock();
        workers.remove(&shard);
        self.publish(&workers);
    }

    /// A worker says what it has done.
    pub(super) fn report(&self, shard: ShardKey, stats: &Stats) {
        let mut workers = self.lock();
        if let Some(entry) = workers.get_mut(&shard) {
            let now_ms = milliseconds_since_1970();
            entry.meter.report(stats, Instant::now(), now_ms);
            let worked = more(&mut entry.masks_worked_us, stats.mask_us);
            let waited = more(&mut entry.masks_waited_us, stats.mask_wait_us);
            self.masks.worked.inc_by(seconds(worked));
            self.masks.waited.inc_by(seconds(waited));
            let guessed = more(&mut entry.guessed, stats.guessed_tokens);
            let accepted = more(&mut entry.accepted, stats.accepted_tokens);
            self.guesses.computed.inc_by(guessed);
            self.guesses.right.inc_by(accepted);
        }
        self.publish(&workers);
    }

    fn publish(&self, workers: &HashMap<ShardKey, Entry>) {
        let mut all: Vec<Activity> = workers.values().map(|entry| entry.meter.activity).collect();
        all.sort_unstable_by_key(|activity| activity.instance);
        self.activity.send_if_modified(|shown| {
            let changed = *shown != all;
            if changed {
                *shown = all;
            }
            changed
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ShardKey, Entry>> {
        // No code that holds the lock can panic half-way through a change.
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much more it is than before.
fn more(before: &mut u64, now: u64) -> u64 {
    let more = now.saturating_sub(*before);
    *before = now;
    more
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

impl WorkerHandle {
    pub(super) fn new(streams: Streams, writer: FrameWriter) -> Self {
        Self {
            streams,
            writer,
            holders: Arc::new(()),
        }
    }

    /// Whether nobody is answered and nobody else could ask at any moment. Who holds it opens a stream before letting
    /// it go, so they are counted in this order.
    fn is_unused(&self) -> bool {
        Arc::strong_count(&self.holders) == 1 && self.streams.count() == 0
    }

    /// Asks for an answer. Fails with `WorkerLost` when the worker is gone: another plan is on its way.
    pub(crate) fn generate(&self, request: TokenRequest) -> Result<TokenStream, Failure> {
        let opened = self.streams.open(request.id, self.writer.clone());
        let stream = opened.ok_or_else(gone)?;
        match self.writer.write(&ToWorker::Submit(request)) {
            Ok(()) => Ok(stream),
            Err(WriteError::Gone) => Err(gone()),
            Err(WriteError::Full) => Err(Failure::new(
                ErrorCode::Overloaded,
                "the model has too many requests waiting",
            )
            .hint("try again in a moment")),
            Err(WriteError::Encode(error)) => {
                Err(Failure::new(ErrorCode::TooLarge, error.to_string()).hint("shorten the prompt"))
            }
        }
    }
}

fn gone() -> Failure {
    Failure::new(ErrorCode::WorkerLost, "the worker is gone")
}
