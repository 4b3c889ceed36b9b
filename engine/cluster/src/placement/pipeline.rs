//! The contiguous split: which nodes, in which order, with how many layers each, so that the slowest stage is as
//! fast as it can be and none holds more than its node lends.
//!
//! Exact: a table over (set of nodes, layers done) holds the best way to run the first layers on exactly those nodes.
//! The best way to go on does not depend on how the set was ordered, so extending every entry by every stage of
//! every further node visits an optimal order and split.

use std::ops::Range;

use super::memory;
use super::problem::{Candidate, Problem};
use super::speed::read_s;

/// Cost of the stages so far: the slowest one, then the sum of squares, which tells an even split from an uneven one
/// with the same slowest stage.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Cost {
    slowest_s: f64,
    squares: f64,
}

impl Cost {
    const NONE: Self = Self {
        slowest_s: 0.0,
        squares: 0.0,
    };

    fn with(self, stage_s: f64) -> Self {
        Self {
            slowest_s: self.slowest_s.max(stage_s),
            squares: self.squares + stage_s * stage_s,
        }
    }
}

/// The best way to run layers `0..done` on a set of nodes.
#[derive(Debug, Clone, Copy)]
struct Entry {
    cost: Cost,
    /// The node of the last stage, and its first layer.
    node: usize,
    start: usize,
}

/// One stage of a split.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stage {
    /// Index among the candidates.
    pub(super) node: usize,
    pub(super) layers: Range<u32>,
    pub(super) read_s: f64,
}

/// The table for one problem.
pub(super) struct Pipelines<'a> {
    problem: &'a Problem,
    sums: Sums,
    /// At `set * layers + done`.
    table: Vec<Option<Entry>>,
}

impl<'a> Pipelines<'a> {
    /// Fills the table for every set in `sets` (bit masks over the candidates, closed under taking subsets).
    pub(super) fn new(problem: &'a Problem, sets: &[usize]) -> Self {
        let layers = problem.card.layers.len();
        let mut pipelines = Self {
            problem,
            sums: Sums::of(problem),
            table: vec![None; (1 << problem.candidates.len()) * layers],
        };
        let mut ascending = sets.to_vec();
        ascending.sort_unstable();
        // A subset is a smaller number than its set, so what an entry builds on is there before it.
        for set in ascending {
            for done in 1..layers {
                pipelines.table[set * layers + done] = (0..problem.candidates.len())
                    .filter(|node| set & (1 << node) != 0)
                    .filter_map(|node| pipelines.extend(set, node, done))
                    .reduce(|best, entry| if entry.cost < best.cost { entry } else { best });
            }
        }
        pipelines
    }

    /// The best split over exactly `set` whose last stage, rank 0, is on `driver`. Stages from the first layers to
    /// the last.
    pub(super) fn best(&self, set: usize, driver: usize) -> Option<Vec<Stage>> {
        let layers = self.problem.card.layers.len();
        let mut stages = Vec::new();
        let (mut set, mut done) = (set, layers);
        let mut entry = self.extend(set, driver, done)?;
        // Ends because every turn takes one node off the set.
        loop {
            let range = entry.start as u32..done as u32;
            stages.push(Stage {
                node: entry.node,
                read_s: self
                    .sums
                    .read_s(&self.problem.candidates[entry.node], entry.start, done),
                layers: range,
            });
            set &= !(1 << entry.node);
            done = entry.start;
            if set == 0 {
                stages.reverse();
                return Some(stages);
            }
            entry = self.table[set * layers + done]?;
        }
    }

    /// The best way to end layers `0..done` with a stage on `node`, the rest of `set` before it.
    fn extend(&self, set: usize, node: usize, done: usize) -> Option<Entry> {
        let candidate = &self.problem.candidates[node];
        let before = set & !(1 << node);
        let layers = self.problem.card.layers.len();
        let mut best: Option<Entry> = None;
        let first = usize::from(before != 0);
        // Backwards: the stage grows, so the first that is too big or too slow ends the search.
        for start in (first..done).rev() {
            if self.sums.bytes(start, done) > candidate.memory_bytes {
                break;
            }
            let stage_s = self.sums.read_s(candidate, start, done);
            if best.is_some_and(|best| stage_s > best.cost.slowest_s) {
                break;
            }
            let cost = match before {
                0 if start == 0 => Some(Cost::NONE),
                0 => None,
                _ => self.table[before * layers + start].map(|entry| entry.cost),
            };
            let Some(cost) = cost.map(|cost| cost.with(stage_s)) else {
                continue;
            };
            if best.is_none_or(|best| cost < best.cost) {
                best = Some(Entry { cost, node, start });
            }
        }
        best
    }
}

/// Running sums over the layers, so that any stage costs two subtractions.
struct Sums {
    held: Vec<u64>,
    active: Vec<u64>,
    embedding: u64,
    head: u64,
    both_ends: u64,
    overhead: u64,
    overhead_last: u64,
}

impl Sums {
    fn of(problem: &Problem) -> Self {
        let card = &problem.card;
        let tokens = u64::from(problem.cache_tokens);
        let sequences = u64::from(memory::sequences_max(card));
        let mut sums = Self {
            held: vec![0],
            active: vec![0],
            embedding: card.ends_bytes(true, false),
            head: card.ends_bytes(false, true),
            both_ends: card.ends_bytes(true, true),
            overhead: memory::overhead_bytes(card, false),
            overhead_last: memory::overhead_bytes(card, true)
                + memory::draft_cache_bytes(card, tokens),
        };
        let (mut held, mut active) = (0, 0);
        for layer in &card.layers {
            held +=
                layer.weights_bytes + layer.cache_bytes(1, tokens) + layer.state_bytes * sequences;
            active += layer.active_bytes;
            sums.held.push(held);
            sums.active.push(active);
        }
        sums
    }

    fn layers(&self) -> usize {
        self.held.len() - 1
    }

    /// Memory of a stage; equals `memory::shard_bytes`, which a test holds it to.
    fn bytes(&self, start: usize, end: usize) -> u64 {
        let last = end == self.layers();
        let ends = match (start == 0, last) {
            (false, false) => 0,
            (true, false) => self.embedding,
            (false, true) => self.head,
            (true, true) => self.both_ends,
        };
        let overhead = if last {
            self.overhead_last
        } else {
            self.overhead
        };
        self.held[end] - self.held[start] + ends + overhead
    }

    /// Time of a stage for one token: of the embedding one row is read, of the head everything.
    fn read_s(&self, node: &Candidate, start: usize, end: usize) -> f64 {
        let head = if end == self.layers() { self.head } else { 0 };
        read_s(self.active[end] - self.active[start] + head, node)
    }
}
