//! Several ranks: each a process of this very test binary, joined by MLX's ring over loopback.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base::{ShardSpec, Sharding, TensorSlice};
use infer::{Backend, BackendError};
use models::{Group, MlxBackend};
use serde::{Deserialize, Serialize};

use crate::script::{Logits, Script, run};

/// What a rank's process is told in.
const JOB_VARIABLE: &str = "ESPALIER_MODELS_TEST_JOB";
/// Connecting a ring takes a second or two, the rest is a busy machine.
const RANK_TIMEOUT: Duration = Duration::from_mins(2);
/// As the worker does it: the last rank joins when the others listen.
const LAST_RANK_DELAY: Duration = Duration::from_millis(40);

/// One rank's work.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Job {
    folder: PathBuf,
    rank: u32,
    world: u32,
    layers: u32,
    tensor: bool,
    script: Script,
    /// The rank that dies without a word before the last step.
    doomed: Option<u32>,
    answer: PathBuf,
    /// Where each rank hears from rank 0, before its next step, that a token was chosen. Empty: nobody waits.
    chosen: Vec<SocketAddr>,
}

/// What a rank has to say.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    logits: Logits,
    /// Duration of each step.
    steps_ms: Vec<f64>,
    /// How the last step failed, and after how long.
    lost: Option<(String, f64)>,
}

/// Layers of a rank, the last ones on rank 0.
pub fn spec(rank: u32, world: u32, layers: u32, sharding: Sharding) -> ShardSpec {
    let from_the_first = world - 1 - rank;
    let (layers, tensor) = match sharding {
        Sharding::Pipeline => (
            from_the_first * layers / world..(from_the_first + 1) * layers / world,
            TensorSlice::WHOLE,
        ),
        Sharding::Tensor => (
            0..layers,
            TensorSlice {
                index: rank,
                of: world,
            },
        ),
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

/// Room for the sequences of any test and for some of their beginnings.
const CACHE_TOKENS: u64 = 1000;

/// The model on one rank, in this process.
pub fn alone(folder: &Path, layers: u32) -> MlxBackend {
    let spec = spec(0, 1, layers, Sharding::Pipeline);
    let backend = models::load(folder, &spec, Group::single(), |_, _| ()).unwrap();
    backend.with_cache_tokens(CACHE_TOKENS)
}

/// Runs a script on `world` ranks; the logits of rank 0 and its milliseconds for each step.
pub fn together(
    folder: &Path,
    layers: u32,
    world: u32,
    sharding: Sharding,
    script: &Script,
) -> (Logits, Vec<f64>) {
    let mut answers = start(folder, layers, (world, sharding), script, None, &[]);
    for answer in &answers {
        assert!(answer.lost.is_none(), "{answer:?}");
    }
    let Answer {
        logits, steps_ms, ..
    } = answers.remove(0);
    (logits, steps_ms)
}

/// The milliseconds of each of rank 0's steps when, as in decoding, no rank begins a step before rank 0 ended the last.
pub fn in_lockstep(
    folder: &Path,
    layers: u32,
    world: u32,
    sharding: Sharding,
    script: &Script,
) -> Vec<f64> {
    let sockets: Vec<UdpSocket> = (0..world)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let chosen: Vec<SocketAddr> = sockets
        .iter()
        .map(|socket| socket.local_addr().unwrap())
        .collect();
    drop(sockets);
    let mut answers = start(folder, layers, (world, sharding), script, None, &chosen);
    answers.remove(0).steps_ms
}

/// Runs a script in the middle of which a rank dies: what each of the others then says, and after how many milliseconds.
pub fn bereaved(
    folder: &Path,
    layers: u32,
    sharding: Sharding,
    script: &Script,
    doomed: u32,
) -> (String, f64) {
    let mut answers = start(folder, layers, (2, sharding), script, Some(doomed), &[]);
    assert_eq!(answers.len(), 1);
    answers.remove(0).lost.unwrap()
}

fn start(
    folder: &Path,
    layers: u32,
    (world, sharding): (u32, Sharding),
    script: &Script,
    doomed: Option<u32>,
    chosen: &[SocketAddr],
) -> Vec<Answer> {
    let run_folder = tempfile::tempdir().unwrap();
    let hosts = run_folder.path().join("hosts.json");
    // All at once, so that no two are the same.
    let listeners: Vec<TcpListener> = (0..world)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let ring: Vec<[String; 1]> = listeners
        .iter()
        .map(|listener| [listener.local_addr().unwrap().to_string()])
        .collect();
    drop(listeners);
    std::fs::write(&hosts, serde_json::to_string(&ring).unwrap()).unwrap();
    let start = |rank: u32| {
        let job = Job {
            folder: folder.into(),
            rank,
            world,
            layers,
            tensor: sharding == Sharding::Tensor,
            script: script.clone(),
            doomed,
            answer: run_folder.path().join(format!("{rank}.json")),
            chosen: chosen.to_vec(),
        };
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "ranks::rank_process", "--nocapture"])
            .env(JOB_VARIABLE, serde_json::to_string(&job).unwrap())
            .env("MLX_HOSTFILE", &hosts)
            .env("MLX_RANK", rank.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        (job, Rank(child))
    };
    let ranks: Vec<(Job, Rank)> = (0..world).map(start).collect();
    let deadline = Instant::now() + RANK_TIMEOUT;
    let mut answers = Vec::new();
    for (job, mut child) in ranks {
        child.wait(deadline, doomed == Some(job.rank));
        if doomed != Some(job.rank) {
            let answer = std::fs::read(&job.answer).unwrap();
            answers.push(serde_json::from_slice(&answer).unwrap());
        }
    }
    answers
}

/// A child that does not outlive the test.
struct Rank(Child);

impl Rank {
    fn wait(&mut self, deadline: Instant, doomed: bool) {
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().unwrap() {
                assert!(status.success() || doomed, "a rank ended with {status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("a rank did not end within {RANK_TIMEOUT:?}");
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        // Already gone, as a rule.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "one rank of the tests in sharded.rs, which start it as a process of its own"]
fn rank_process() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how the test hands its child the job"
    )]
    let Ok(job) = std::env::var(JOB_VARIABLE) else {
        return;
    };
    let job: Job = serde_json::from_str(&job).unwrap();
    if job.world > 1 && job.rank + 1 == job.world {
        std::thread::sleep(LAST_RANK_DELAY);
    }
    let socket = job.chosen.get(job.rank as usize).map(|own| {
        let socket = UdpSocket::bind(own).unwrap();
        socket.set_read_timeout(Some(RANK_TIMEOUT)).unwrap();
        socket
    });
    let group = match job.world {
        1 => Group::single(),
        _ => Group::join().unwrap(),
    };
    let sharding = if job.tensor {
        Sharding::Tensor
    } else {
        Sharding::Pipeline
    };
    let spec = spec(job.rank, job.world, job.layers, sharding);
    let backend = models::load(&job.folder, &spec, group, |_, _| ()).unwrap();
    let mut backend = backend.with_cache_tokens(CACHE_TOKENS);
    let answer = perform(&job, &mut backend, socket.as_ref());
    std::fs::write(&job.answer, serde_json::to_vec(&answer).unwrap()).unwrap();
}

fn perform(job: &Job, backend: &mut MlxBackend, socket: Option<&UdpSocket>) -> Answer {
    let undisturbed = job.script.len() - usize::from(job.doomed.is_some());
    let (mut logits, mut steps_ms) = (Logits::new(), Vec::new());
    for step in &job.script[..undisturbed] {
        let begin = Instant::now();
        logits.extend(run(backend, std::slice::from_ref(step)));
        steps_ms.push(begin.elapsed().as_secs_f64() * 1e3);
        match socket {
            Some(socket) if job.rank == 0 => {
                for other in &job.chosen[1..] {
                    socket.send_to(&[0], other).unwrap();
                }
            }
            Some(socket) => drop(socket.recv(&mut [0]).unwrap()),
            None => {}
        }
    }
    if job.doomed == Some(job.rank) {
        std::process::abort();
    }
    let lost = job.doomed.map(|_| {
        let begin = Instant::now();
        match backend.step(&job.script[undisturbed].plan()) {
            Err(BackendError::Group(why)) => (why, begin.elapsed().as_secs_f64() * 1e3),
            other => panic!("a step without the other rank gave {other:?}"),
        }
    });
    Answer {
        logits,
        steps_ms,
        lost,
    }
}
