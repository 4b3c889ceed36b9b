//! Every pipeline there is: all sets, all orders, all splits. Slow and obviously complete.

use base::{NodeId, ShardPlan, TensorSlice};
use cluster::placement::shard_bytes;
use cluster::{Candidate, Problem};

/// Stages from the first layers to the last: node, first layer, end.
#[derive(Debug, Clone)]
pub struct Split {
    stages: Vec<(NodeId, u32, u32)>,
    pub slowest_s: f64,
}

impl Split {
    pub fn driver(&self) -> NodeId {
        self.stages[self.stages.len() - 1].0
    }

    pub fn nodes(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.stages.iter().map(|stage| stage.0).collect();
        nodes.sort();
        nodes
    }
}

pub fn all(problem: &Problem) -> Vec<Split> {
    let mut found = Vec::new();
    let nothing = Split {
        stages: Vec::new(),
        slowest_s: 0.0,
    };
    extend(problem, &nothing, &mut found);
    found
}

/// Time of the slowest stage of a plan.
pub fn slowest_s(problem: &Problem, plan: &ShardPlan) -> f64 {
    let stage_s = |shard: &base::Shard| {
        let node = problem.candidates.iter().find(|c| c.node == shard.node);
        stage_s(problem, node.unwrap(), shard.layers.start, shard.layers.end)
    };
    plan.shards.iter().map(stage_s).fold(0.0, f64::max)
}

fn extend(problem: &Problem, split: &Split, found: &mut Vec<Split>) {
    let layers = problem.card.layer_count();
    let start = split.stages.last().map_or(0, |stage| stage.2);
    if start == layers {
        found.push(split.clone());
        return;
    }
    for node in &problem.candidates {
        let linked = |(other, _, _): &(NodeId, u32, u32)| {
            let pairs = &problem.links;
            pairs.iter().any(|pair| {
                (pair.a, pair.b) == (node.node, *other) || (pair.b, pair.a) == (node.node, *other)
            })
        };
        if !split.stages.iter().all(linked) {
            continue; // a node is not linked with itself either
        }
        for end in start + 1..=layers {
            let bytes = shard_bytes(
                &problem.card,
                &(start..end),
                TensorSlice::WHOLE,
                problem.cache_tokens,
            );
            if bytes > node.memory_bytes {
                continue;
            }
            let mut longer = split.clone();
            longer.stages.push((node.node, start, end));
            longer.slowest_s = longer.slowest_s.max(stage_s(problem, node, start, end));
            extend(problem, &longer, found);
        }
    }
}

fn stage_s(problem: &Problem, node: &Candidate, start: u32, end: u32) -> f64 {
    let card = &problem.card;
    let layers = &card.layers[start as usize..end as usize];
    let active: u64 = layers.iter().map(|layer| layer.active_bytes).sum();
    let head = if end == card.layer_count() {
        card.head_bytes
    } else {
        0
    };
    (active + head) as f64 / node.bandwidth_bytes_per_s as f64
}
