//! A node that talks nonsense: the worker refuses in words or ends with a reason, never hangs and never grows.

use std::time::{Duration, Instant};

use base::{RequestId, Sampling, Sharding, TokenEvent, TokenRequest};
use wire::encode;
use wire::worker::{FromWorker, Start, ToWorker};

use crate::checkpoint::{self, Random, VOCABULARY};
use crate::process::{Cluster, Worker};
use crate::{PATIENCE, request};

/// Well-formed frames that ask for what cannot be, to one worker.
const HOSTILE_REQUESTS: u64 = 10_000;

/// Malformed first bytes, each to a worker of its own.
const MALFORMED_STARTS: u64 = 60;

#[test]
fn malformed_frames_end_the_worker_with_a_reason() {
    let mut random = Random(42);
    for n in 0..MALFORMED_STARTS {
        let mut bytes = encode(&ToWorker::Submit(request(n, &[1, 2, 3], 4))).unwrap();
        for _ in 0..=n % 4 {
            let at = random.next() as usize % bytes.len();
            // A frame that says it is longer is waited for; that has its own time limit.
            if at != 1 && at != 2 {
                bytes[at] = random.next() as u8;
            }
        }
        let mut worker = Worker::start(&[]);
        // It may end before it has read everything.
        let _ = worker.send_bytes(&bytes);
        let _ = worker.send_bytes(&[0xff; 512]);
        let failure = worker.fatal(PATIENCE);
        assert!(!failure.message.is_empty());
        assert_eq!(worker.ended(PATIENCE), Some(1), "{failure:?}");
    }
}

#[test]
fn a_stream_cut_short_ends_the_worker() {
    let bytes = encode(&ToWorker::Start(Start::Inspect {
        folder: "/".into(),
        quantize: None,
        kv_bits: None,
    }))
    .unwrap();
    for length in 0..bytes.len() {
        let mut worker = Worker::start(&[]);
        worker.send_bytes(&bytes[..length]).unwrap();
        worker.close();
        let began = Instant::now();
        assert_eq!(worker.ended(PATIENCE), Some(0), "after {length} bytes");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn requests_that_cannot_be_are_refused_one_by_one() {
    let folder = checkpoint::llama();
    let mut cluster = Cluster::start(folder.path(), 1, Sharding::Pipeline);
    let good = cluster.answer(request(0, &[1, 2, 3], 10));
    let mut random = Random(1);
    let mut resident = 0;
    for id in 1..=HOSTILE_REQUESTS {
        let worker = cluster.lead();
        worker.send(&ToWorker::Cancel(RequestId(random.next())));
        worker.send(&ToWorker::Submit(impossible(id, &mut random)));
        if id % 50 == 0 {
            refusals(worker, 50);
        }
        if id == HOSTILE_REQUESTS / 10 {
            resident = resident_kib(worker);
        }
    }
    let grown = resident_kib(cluster.lead()).saturating_sub(resident);
    assert!(grown < 4096, "{grown} KiB more");
    assert_eq!(cluster.answer(request(0, &[1, 2, 3], 10)), good);
    let _ = cluster.lead().send_bytes(&[0; 4]);
    cluster.lead().fatal(PATIENCE);
    assert_eq!(cluster.lead().ended(PATIENCE), Some(1));
}

/// A request that parses and can never run.
fn impossible(id: u64, random: &mut Random) -> TokenRequest {
    let mut wrong = TokenRequest {
        sampling: Sampling {
            seed: random.next(),
            ..Sampling::GREEDY
        },
        ..request(id, &[1], 1)
    };
    match random.next() % 4 {
        0 => wrong.prompt[0] = VOCABULARY as u32 + random.next() as u32 % 1000,
        1 => wrong.max_tokens = u32::MAX - random.next() as u32 % 1000,
        2 => wrong.prompt = vec![0; 300 + random.next() as usize % 1000],
        _ => wrong.generated = vec![0; 2 + random.next() as usize % 50],
    }
    wrong
}

fn refusals(worker: &mut Worker, count: usize) {
    let mut refused = 0;
    while refused < count {
        let FromWorker::Events(events) = worker.frame(PATIENCE) else {
            panic!("no events");
        };
        for (_, event) in events {
            assert!(matches!(event, TokenEvent::Failed(_)), "{event:?}");
            refused += 1;
        }
    }
}

/// Memory of the worker, in KiB.
fn resident_kib(worker: &Worker) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default()
}
