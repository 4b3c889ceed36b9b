//! Predicted speed of one request: bytes read per token over memory bandwidth, plus what the network adds.
//!
//! Only good for ranking. Where a number below is not measured it says "assumed".

use base::NodeRecord;

use super::problem::{Candidate, Pair, Problem};

/// Round trip of two nodes that have not measured theirs. Assumed: a home network's switch.
const ROUND_TRIP_GUESS_US: u32 = 500;

/// What a worker adds to handing one hidden state on, besides the wire: two copies, a system call each way and a
/// thread that wakes. Measured as 0.1 to 0.2 ms for send and receive over loopback.
const HOP_S: f64 = 150e-6;

/// One `all_sum` of a token's hidden state between two ranks, besides the wire. Measured as about 0.3 ms over TCP.
const ALL_SUM_S: f64 = 300e-6;

/// A tensor split sums after attention and after the MLP.
const SUMS_PER_LAYER: f64 = 2.0;

/// Memory bandwidth of a node, or a cautious guess from the memory it has: Apple's chips with more memory also read
/// it faster. Assumed, below the least of each class (base 100, Pro 200, Max 400, Ultra 800 GB/s).
pub fn bandwidth_or_guess(record: &NodeRecord) -> u64 {
    const GIB: u64 = 1 << 30;
    record
        .memory_bandwidth_bytes_per_s
        .unwrap_or(match record.memory_total_bytes / GIB {
            0..=24 => 60_000_000_000,
            25..=48 => 120_000_000_000,
            49..=128 => 250_000_000_000,
            _ => 500_000_000_000,
        })
        .max(1)
}

/// Seconds in which a node reads so many bytes of its memory.
pub(super) fn read_s(bytes: u64, node: &Candidate) -> f64 {
    bytes as f64 / node.bandwidth_bytes_per_s.max(1) as f64
}

/// Tokens per second of a pipeline whose stages take `stage_s` each, in the order of their ranks.
pub(super) fn pipeline_tokens_per_s(problem: &Problem, ranks: &[usize], stage_s: &[f64]) -> f64 {
    let compute: f64 = stage_s.iter().sum();
    // The hidden state goes down from the highest rank to rank 0, then rank 0's next step plan goes to all.
    let down: f64 = ranks
        .windows(2)
        .map(|pair| HOP_S + one_way_s(problem, pair[0], pair[1]))
        .sum();
    let plan = match ranks {
        [first, .., last] => HOP_S + one_way_s(problem, *first, *last),
        [_] | [] => 0.0,
    };
    1.0 / (compute + down + plan).max(f64::MIN_POSITIVE)
}

/// Tokens per second of a tensor split in which the slowest rank takes `slice_s` to read its slices.
pub(super) fn tensor_tokens_per_s(problem: &Problem, ranks: &[usize], slice_s: f64) -> f64 {
    let steps = ranks.len().saturating_sub(1) as f64;
    let slowest_link = ranks
        .windows(2)
        .map(|pair| one_way_s(problem, pair[0], pair[1]))
        .fold(0.0, f64::max);
    let sums = problem.card.layers.len() as f64 * SUMS_PER_LAYER;
    1.0 / (slice_s + sums * steps * (ALL_SUM_S + slowest_link)).max(f64::MIN_POSITIVE)
}

fn one_way_s(problem: &Problem, one: usize, other: usize) -> f64 {
    let (one, other) = (problem.candidates[one].node, problem.candidates[other].node);
    let joins = |pair: &&Pair| (pair.a, pair.b) == (one, other) || (pair.b, pair.a) == (one, other);
    let round_trip_us = problem
        .links
        .iter()
        .find(joins)
        .and_then(|pair| pair.round_trip_us)
        .unwrap_or(ROUND_TRIP_GUESS_US);
    f64::from(round_trip_us) * 1e-6 / 2.0
}
