//! Puts the possible placements in order, best first, or says why there is none.

use std::cmp::Ordering;

use base::{NodeId, Shard, ShardPlan, Sharding, ShardingChoice, TensorSlice};

use super::error::PlacementError;
use super::memory;
use super::pipeline::{Pipelines, Stage};
use super::problem::{Candidate, NodeCount, Placement, Problem};
use super::{speed, tensor};

/// Nodes that a search covers, so that its table stays small (2^8 sets). Of more candidates those with the most
/// memory are looked at.
const NODES_MAX: usize = 8;

/// Placements given back at most: nobody reads more.
const PLACEMENTS_MAX: usize = 16;

/// Whoever asks sends its requests to the node that drives, so without it the speed counts half.
const WITHOUT_OPENER: f64 = 0.5;

/// Every node of the previous plan that is not used again has warm file pages that go to waste.
const PER_NODE_LEFT: f64 = 0.9;

/// A placement with what orders it.
struct Ranked {
    placement: Placement,
    /// Whether none of its nodes computes for the model already. Before anything else.
    apart: bool,
    /// How much it is what was asked for: more is better.
    wish: u32,
    /// Nodes that have to fetch the model first, which takes longer than anything that a better division brings: fewer
    /// are better, before the number of nodes.
    lacking: u32,
    /// Every further node is one more that can be lost, and the gain is only predicted: as few as fit, where the number
    /// was left open.
    nodes: u32,
    /// More is better, last.
    score: f64,
}

/// Possible placements, best first; at least one. `previous` is the plan that ran before: its nodes and their order
/// are kept where that costs nothing.
pub fn solve(
    problem: &Problem,
    previous: Option<&ShardPlan>,
) -> Result<Vec<Placement>, PlacementError> {
    check_wish(problem)?;
    let problem = &narrowed(problem, previous);
    let sets = linked_sets(problem);
    let largest = sets.iter().map(|set| set.count_ones()).max().unwrap_or(0);
    if largest == 0 {
        return Err(PlacementError::NoNodes);
    }
    let wanted = match problem.nodes {
        NodeCount::Exactly(count) => count,
        NodeCount::Any | NodeCount::Wanted(_) => 1,
    };
    if largest < wanted {
        return Err(PlacementError::TooFewNodes {
            wanted,
            linked: largest,
        });
    }
    let mut found = Vec::new();
    if problem.sharding != ShardingChoice::Tensor {
        pipelines(problem, &sets, previous, &mut found);
    }
    if problem.sharding != ShardingChoice::Pipeline {
        tensors(problem, &sets, previous, &mut found);
    }
    if found.is_empty() {
        return Err(not_enough_memory(problem, wanted, largest));
    }
    // Stable: of equals the one found first stays first, and the search order is fixed.
    found.sort_by(|one, other| {
        let wish = (other.apart, other.wish).cmp(&(one.apart, one.wish));
        let costs = (one.lacking, one.nodes).cmp(&(other.lacking, other.nodes));
        let score = other.score.partial_cmp(&one.score);
        wish.then(costs).then(score.unwrap_or(Ordering::Equal))
    });
    found.truncate(PLACEMENTS_MAX);
    Ok(found.into_iter().map(|ranked| ranked.placement).collect())
}

/// Refuses what no cluster could do, and names that are not here.
fn check_wish(problem: &Problem) -> Result<(), PlacementError> {
    let ids = &problem.node_ids;
    if let Some(node) = (1..ids.len()).find(|i| ids[..*i].contains(&ids[*i])) {
        return Err(PlacementError::NodeTwice { node: ids[node] });
    }
    let NodeCount::Exactly(wanted) = problem.nodes else {
        return Ok(());
    };
    let max = NODES_MAX as u32;
    if wanted == 0 || wanted > max {
        return Err(PlacementError::NodeCountOutOfRange { wanted, max });
    }
    let layers = problem.card.layer_count();
    let pipeline = wanted <= layers;
    let tensor = problem.card.tensor_degrees.contains(&wanted);
    match problem.sharding {
        ShardingChoice::Tensor if !tensor => {
            return Err(PlacementError::TensorDegree {
                wanted,
                possible: problem.card.tensor_degrees.clone(),
            });
        }
        ShardingChoice::Pipeline if !pipeline => {
            return Err(PlacementError::TooFewLayers { wanted, layers });
        }
        ShardingChoice::Auto if !pipeline && !tensor => {
            return Err(PlacementError::TooFewLayers { wanted, layers });
        }
        ShardingChoice::Auto | ShardingChoice::Pipeline | ShardingChoice::Tensor => {}
    }
    let here = |id: &&NodeId| problem.candidates.iter().any(|c| c.node == **id);
    let missing: Vec<NodeId> = ids.iter().filter(|id| !here(id)).copied().collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(PlacementError::NodesMissing { missing })
    }
}

/// The problem with only the candidates worth a look, those to prefer first.
fn narrowed(problem: &Problem, previous: Option<&ShardPlan>) -> Problem {
    let mut narrowed = problem.clone();
    let ids = &problem.node_ids;
    narrowed
        .candidates
        .retain(|candidate| ids.is_empty() || ids.contains(&candidate.node));
    let preference = |candidate: &Candidate| {
        let rank = previous.and_then(|plan| plan.rank_of(candidate.node));
        (
            rank.unwrap_or(u32::MAX),
            problem.copies.contains(&candidate.node),
            candidate.node != problem.opener,
            std::cmp::Reverse(candidate.memory_bytes),
            candidate.node,
        )
    };
    narrowed.candidates.sort_by_key(|candidate| {
        let (rank, copy, elsewhere, memory, node) = preference(candidate);
        let lacks = !candidate.has_model;
        (rank, copy, elsewhere, lacks, memory, node)
    });
    narrowed.candidates.truncate(NODES_MAX);
    // Who drives is a matter of speed alone.
    narrowed.candidates.sort_by_key(preference);
    narrowed
}

/// Every set of candidates that are all linked with each other, as bit masks, ascending.
fn linked_sets(problem: &Problem) -> Vec<usize> {
    let nodes: Vec<NodeId> = problem.candidates.iter().map(|c| c.node).collect();
    let bit = |id: NodeId| nodes.iter().position(|node| *node == id);
    let mut neighbours: Vec<usize> = (0..nodes.len()).map(|node| 1 << node).collect();
    for pair in &problem.links {
        if let (Some(a), Some(b)) = (bit(pair.a), bit(pair.b)) {
            neighbours[a] |= 1 << b;
            neighbours[b] |= 1 << a;
        }
    }
    (1..1_usize << nodes.len())
        .filter(|set| {
            members(*set)
                .iter()
                .all(|node| set & !neighbours[*node] == 0)
        })
        .collect()
}

/// The candidates of a set, ascending, so those to prefer first.
fn members(set: usize) -> Vec<usize> {
    (0..NODES_MAX)
        .filter(|node| set & (1 << node) != 0)
        .collect()
}

fn allowed(problem: &Problem, nodes: u32) -> bool {
    match problem.nodes {
        NodeCount::Exactly(wanted) => nodes == wanted,
        NodeCount::Wanted(wanted) => nodes <= wanted,
        NodeCount::Any => true,
    }
}

fn pipelines(
    problem: &Problem,
    sets: &[usize],
    previous: Option<&ShardPlan>,
    found: &mut Vec<Ranked>,
) {
    if problem.card.layers.is_empty() {
        return;
    }
    let splits = Pipelines::new(problem, sets);
    for set in sets.iter().filter(|set| allowed(problem, set.count_ones())) {
        // Members come with the one to prefer as driver first: it drives unless it is too small for that end.
        let split = members(*set)
            .into_iter()
            .find_map(|driver| splits.best(*set, driver));
        if let Some(mut stages) = split {
            stages.reverse(); // rank 0 holds the last layers
            found.push(ranked(problem, previous, pipeline(problem, &stages)));
        }
    }
}

fn pipeline(problem: &Problem, stages: &[Stage]) -> Placement {
    let shard = |stage: &Stage| Shard {
        node: problem.candidates[stage.node].node,
        layers: stage.layers.clone(),
        tensor: TensorSlice::WHOLE,
        bytes: memory::shard_bytes(
            &problem.card,
            &stage.layers,
            TensorSlice::WHOLE,
            problem.cache_tokens,
        ),
    };
    let nodes: Vec<usize> = stages.iter().map(|stage| stage.node).collect();
    let seconds: Vec<f64> = stages.iter().map(|stage| stage.read_s).collect();
    Placement {
        plan: ShardPlan {
            sharding: Sharding::Pipeline,
            shards: stages.iter().map(shard).collect(),
        },
        tokens_per_s: speed::pipeline_tokens_per_s(problem, &nodes, &seconds),
    }
}

fn tensors(
    problem: &Problem,
    sets: &[usize],
    previous: Option<&ShardPlan>,
    found: &mut Vec<Ranked>,
) {
    let layers = 0..problem.card.layer_count();
    for set in sets.iter().filter(|set| allowed(problem, set.count_ones())) {
        let of = set.count_ones();
        // A single rank is a pipeline of one, unless only tensor splits were asked for.
        let single = of == 1 && problem.sharding == ShardingChoice::Auto;
        if single || !problem.card.tensor_degrees.contains(&of) {
            continue;
        }
        let nodes = members(*set);
        let slices = (0..of).zip(&nodes).map(|(index, node)| {
            let tensor = TensorSlice { index, of };
            let bytes = tensor::slice_bytes(problem, tensor);
            let candidate = &problem.candidates[*node];
            (bytes <= candidate.memory_bytes).then(|| Shard {
                node: candidate.node,
                layers: layers.clone(),
                tensor,
                bytes,
            })
        });
        let Some(shards) = slices.collect() else {
            continue;
        };
        let placement = Placement {
            plan: ShardPlan {
                sharding: Sharding::Tensor,
                shards,
            },
            tokens_per_s: speed::tensor_tokens_per_s(
                problem,
                &nodes,
                tensor::slowest_s(problem, &nodes),
            ),
        };
        found.push(ranked(problem, previous, placement));
    }
}

fn ranked(problem: &Problem, previous: Option<&ShardPlan>, placement: Placement) -> Ranked {
    let plan = &placement.plan;
    let world = plan.world();
    let (wish, nodes) = match problem.nodes {
        NodeCount::Wanted(_) => (world, 0),
        // Who asks for a division by name wants one, if it is possible.
        NodeCount::Any => {
            let divided = world > 1 || problem.sharding == ShardingChoice::Auto;
            (u32::from(divided), world)
        }
        NodeCount::Exactly(_) => (0, 0),
    };
    let lacks = |shard: &&Shard| {
        let mut lacking = problem.candidates.iter().filter(|it| !it.has_model);
        lacking.any(|candidate| candidate.node == shard.node)
    };
    let lacking = plan.shards.iter().filter(lacks).count() as u32;
    let mut score = placement.tokens_per_s;
    if plan.rank_of(problem.opener).is_none() {
        score *= WITHOUT_OPENER;
    }
    let here = |node: NodeId| problem.candidates.iter().any(|c| c.node == node);
    let left = previous.map_or(0, |previous| {
        let left_out = |shard: &&Shard| here(shard.node) && plan.rank_of(shard.node).is_none();
        previous.shards.iter().filter(left_out).count()
    });
    score *= PER_NODE_LEFT.powi(left as i32);
    let copied = |shard: &Shard| problem.copies.contains(&shard.node);
    Ranked {
        apart: !plan.shards.iter().any(copied),
        placement,
        wish,
        lacking,
        nodes,
        score,
    }
}

fn not_enough_memory(problem: &Problem, wanted: u32, largest: u32) -> PlacementError {
    let card = &problem.card;
    let lent = problem.candidates.iter().map(|c| c.memory_bytes);
    let whole = memory::shard_bytes(
        card,
        &(0..card.layer_count()),
        TensorSlice::WHOLE,
        problem.cache_tokens,
    );
    let shards = match problem.nodes {
        NodeCount::Exactly(_) => wanted,
        NodeCount::Any | NodeCount::Wanted(_) => largest,
    };
    let needed_bytes = if problem.sharding == ShardingChoice::Tensor {
        let slices = (0..shards).map(|index| TensorSlice { index, of: shards });
        slices
            .map(|slice| tensor::slice_bytes(problem, slice))
            .sum()
    } else {
        whole + memory::overhead_bytes(card, false) * u64::from(shards - 1)
    };
    PlacementError::NotEnoughMemory {
        needed_bytes,
        shards,
        nodes: problem.candidates.len() as u32,
        available_bytes: lent.clone().sum(),
        largest_bytes: lent.max().unwrap_or(0),
    }
}
