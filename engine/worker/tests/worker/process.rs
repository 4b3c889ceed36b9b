//! Worker processes with a time limit on everything.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use base::{
    Failure, Fingerprint, RequestId, Secret, ShardSpec, Sharding, TensorSlice, TokenEvent,
    TokenRequest,
};
use tempfile::TempDir;
use wire::worker::{
    FRAME_BYTES_MAX, FromWorker, Limits, PlanLink, PrefixFolder, ShardStart, Start, Stats, ToWorker,
};
use wire::{Decoder, encode};

use crate::checkpoint::LAYERS;

/// For a worker to load a tiny model while other tests run.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

pub const LIMITS: Limits = Limits {
    slots_max: 8,
    queue_max: 16,
    cache_tokens_max: 2048,
    prefill_chunk_tokens: 32,
    scoring_chunk_tokens: 4,
    speculates: true,
};

/// One worker process; killed when dropped.
pub struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    frames: Receiver<FromWorker>,
    /// What it last said of itself.
    pub stats: Stats,
}

impl Worker {
    pub fn start(environment: &[(&str, String)]) -> Self {
        Self::with_stderr(Stdio::inherit(), environment)
    }

    pub fn with_stderr(stderr: Stdio, environment: &[(&str, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_espalier-worker"))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (sender, frames) = mpsc::sync_channel(1 << 16);
        std::thread::spawn(move || {
            let mut decoder = Decoder::new(FRAME_BYTES_MAX);
            let mut chunk = [0; 1 << 12];
            while let Ok(count @ 1..) = stdout.read(&mut chunk) {
                decoder.push(&chunk[..count]);
                while let Some(frame) = decoder.next::<FromWorker>().unwrap() {
                    if sender.send(frame).is_err() {
                        return;
                    }
                }
            }
        });
        Self {
            stdin: child.stdin.take(),
            child,
            frames,
            stats: Stats::default(),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn send(&mut self, frame: &ToWorker) {
        self.send_bytes(&encode(frame).unwrap()).unwrap();
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stdin.as_mut().unwrap().write_all(bytes)
    }

    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Closes stdin and stderr, as a node does that was killed.
    pub fn hang_up(&mut self) {
        self.close_stderr();
        self.close();
    }

    /// Closes its stderr; its stdout is read as before.
    pub fn close_stderr(&mut self) {
        self.child.stderr = None;
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// The next frame that is not about progress or statistics.
    pub fn frame(&mut self, timeout: Duration) -> FromWorker {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.frames.recv_timeout(left).expect("a frame in time") {
                FromWorker::Progress { .. } => {}
                FromWorker::Stats(stats) => self.stats = stats,
                frame => return frame,
            }
        }
    }

    /// The failure it ends with, whatever it says before.
    pub fn fatal(&mut self, timeout: Duration) -> Failure {
        loop {
            if let FromWorker::Fatal(failure) = self.frame(timeout) {
                return failure;
            }
        }
    }

    /// Events until `enough` is said of all since the call.
    pub fn events_until(
        &mut self,
        timeout: Duration,
        enough: impl Fn(&[(RequestId, TokenEvent)]) -> bool,
    ) -> Vec<(RequestId, TokenEvent)> {
        let mut events = Vec::new();
        while !enough(&events) {
            match self.frame(timeout) {
                FromWorker::Events(more) => events.extend(more),
                frame => panic!("{frame:?}"),
            }
        }
        events
    }

    /// Its exit code; -1 if a signal ended it.
    pub fn ended(&mut self, timeout: Duration) -> Option<i32> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status.code().unwrap_or(-1));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The workers of one model, by rank.
pub struct Cluster {
    pub workers: Vec<Worker>,
    _hosts: TempDir,
}

/// What ranks read and write.
#[derive(Clone, Copy)]
struct Files<'a> {
    layers: u32,
    folder: &'a Path,
    prefixes: Option<&'a PrefixFolder>,
    draft: Option<&'a Path>,
}

impl Cluster {
    /// Starts a model over `world` ranks and waits until all are ready.
    pub fn start(folder: &Path, world: u32, sharding: Sharding) -> Self {
        Self::of_layers(LAYERS, folder, world, sharding)
    }

    /// The same for a model with another number of layers.
    pub fn of_layers(layers: u32, folder: &Path, world: u32, sharding: Sharding) -> Self {
        let secrets = vec![Secret([9; 32]); world as usize];
        Self::with_secrets(layers, folder, sharding, &secrets, LIMITS, None).ready()
    }

    /// A model over ranks that guess nothing.
    pub fn guessing_nothing(folder: &Path, world: u32, sharding: Sharding) -> Self {
        let limits = Limits {
            speculates: false,
            ..LIMITS
        };
        let secrets = vec![Secret([9; 32]); world as usize];
        Self::with_secrets(LAYERS, folder, sharding, &secrets, limits, None).ready()
    }

    /// A model over ranks, the first of which has a model that drafts.
    pub fn drafting(model: (u32, &Path), draft: &Path, world: u32, sharding: Sharding) -> Self {
        Self::with_draft(model, draft, world, sharding).ready()
    }

    /// The same that is not ready yet.
    pub fn with_draft(
        (layers, folder): (u32, &Path),
        draft: &Path,
        world: u32,
        sharding: Sharding,
    ) -> Self {
        let files = Files {
            layers,
            folder,
            prefixes: None,
            draft: Some(draft),
        };
        let secrets = vec![Secret([9; 32]); world as usize];
        Self::of_files(files, sharding, &secrets, LIMITS)
    }

    /// The same with ranks that keep beginnings under `root`.
    pub fn keeping(folder: &Path, world: u32, sharding: Sharding, root: &Path) -> Self {
        let prefixes = PrefixFolder {
            root: root.into(),
            model: Fingerprint([5; 32]),
            bytes_max: 1 << 30,
        };
        let secrets = vec![Secret([9; 32]); world as usize];
        Self::with_secrets(LAYERS, folder, sharding, &secrets, LIMITS, Some(&prefixes)).ready()
    }

    fn ready(mut self) -> Self {
        for worker in &mut self.workers {
            match worker.frame(READY_TIMEOUT) {
                FromWorker::Ready { .. } => {}
                frame => panic!("{frame:?}"),
            }
        }
        self
    }

    /// Two ranks that do not belong together.
    pub fn unlinked(folder: &Path) -> Self {
        Self::with_secrets(
            LAYERS,
            folder,
            Sharding::Pipeline,
            &[Secret([1; 32]), Secret([2; 32])],
            LIMITS,
            None,
        )
    }

    fn with_secrets(
        layers: u32,
        folder: &Path,
        sharding: Sharding,
        secrets: &[Secret],
        limits: Limits,
        prefixes: Option<&PrefixFolder>,
    ) -> Self {
        let files = Files {
            layers,
            folder,
            prefixes,
            draft: None,
        };
        Self::of_files(files, sharding, secrets, limits)
    }

    fn of_files(files: Files<'_>, sharding: Sharding, secrets: &[Secret], limits: Limits) -> Self {
        let Files {
            layers,
            folder,
            prefixes,
            draft,
        } = files;
        let world = secrets.len() as u32;
        let hosts = tempfile::tempdir().unwrap();
        let file = hosts.path().join("hosts.json");
        let ring: Vec<Vec<String>> = secrets
            .iter()
            .map(|_| vec![address().to_string()])
            .collect();
        std::fs::write(&file, serde_json::to_string(&ring).unwrap()).unwrap();
        let link = address();
        let start = |(rank, secret): (u32, &Secret)| {
            let mut worker = Worker::start(&[
                ("MLX_HOSTFILE", file.display().to_string()),
                ("MLX_RANK", rank.to_string()),
            ]);
            worker.send(&ToWorker::Start(Start::Shard(ShardStart {
                folder: folder.into(),
                spec: spec(layers, rank, world, sharding),
                plan_link: (world > 1).then_some(PlanLink {
                    address: link,
                    secret: *secret,
                }),
                limits,
                prefixes: prefixes.cloned(),
                draft: draft.filter(|_| rank == 0).map(Into::into),
            })));
            worker
        };
        Self {
            workers: (0..).zip(secrets).map(start).collect(),
            _hosts: hosts,
        }
    }

    pub fn lead(&mut self) -> &mut Worker {
        &mut self.workers[0]
    }

    /// All events of one request that runs alone.
    pub fn answer(&mut self, request: TokenRequest) -> Vec<TokenEvent> {
        self.answers(vec![request]).remove(0)
    }

    /// All events of requests that run together.
    pub fn answers(&mut self, requests: Vec<TokenRequest>) -> Vec<Vec<TokenEvent>> {
        let ids: Vec<RequestId> = requests.iter().map(|request| request.id).collect();
        for request in requests {
            self.lead().send(&ToWorker::Submit(request));
        }
        let events = self.lead().events_until(READY_TIMEOUT, |events| {
            let end = |(_, event): &&(RequestId, TokenEvent)| {
                matches!(event, TokenEvent::Finished(_) | TokenEvent::Failed(_))
            };
            events.iter().filter(end).count() == ids.len()
        });
        let of = |id: &RequestId| {
            let events = events.iter().filter(|(of, _)| of == id);
            events.map(|(_, event)| event.clone()).collect()
        };
        ids.iter().map(of).collect()
    }
}

/// A port that was free a moment ago.
fn address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Rank 0 holds the last layers of a pipeline.
fn spec(layer_count: u32, rank: u32, world: u32, sharding: Sharding) -> ShardSpec {
    let (layers, tensor) = match sharding {
        Sharding::Pipeline => {
            let place = world - 1 - rank;
            let layers = place * layer_count / world..(place + 1) * layer_count / world;
            (layers, TensorSlice::WHOLE)
        }
        Sharding::Tensor => {
            let slice = TensorSlice {
                index: rank,
                of: world,
            };
            (0..layer_count, slice)
        }
    };
    ShardSpec {
        rank,
        world,
        sharding,
        layers,
        tensor,
        quantize: None,
        kv_bits: None,
    }
}
