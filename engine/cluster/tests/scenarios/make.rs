//! Models, nodes and problems for tests.

use base::{
    CacheWindow, LayerCost, ModelCard, NodeId, ShardPlan, Sharding, ShardingChoice, TensorSlice,
};
use cluster::placement::{Pair, shard_bytes};
use cluster::{Candidate, NodeCount, Placement, Problem};
use proptest::prelude::*;

pub const GB: u64 = 1_000_000_000;

pub fn node_id(index: u8) -> NodeId {
    NodeId([index; 32])
}

pub fn linked(a: u8, b: u8) -> Pair {
    Pair {
        a: node_id(a),
        b: node_id(b),
        round_trip_us: None,
    }
}

pub fn card(layers: usize, layer_bytes: u64) -> ModelCard {
    let layer = LayerCost {
        weights_bytes: layer_bytes,
        active_bytes: layer_bytes,
        replicated_bytes: layer_bytes / 100,
        cache_bytes_per_token: 4_096,
        replicated_cache_bytes_per_token: 0,
        window: None,
        state_bytes: 0,
    };
    ModelCard {
        model_type: "test".to_owned(),
        layers: vec![layer; layers],
        embedding_bytes: GB / 10,
        head_bytes: GB / 10,
        tied: false,
        context_tokens_max: 4_096,
        vocabulary_size: 32_000,
        hidden_size: 1_024,
        activation_bytes: 2,
        tensor_degrees: vec![1, 2, 4, 8],
        quantize: None,
        kv_bits: None,
        draft: None,
    }
}

/// Nodes with so many GB each, all linked, the first one asking.
pub fn problem(card: ModelCard, nodes_gb: &[u64]) -> Problem {
    let count = nodes_gb.len() as u8;
    let candidates = (0..count).zip(nodes_gb).map(|(index, gb)| Candidate {
        node: node_id(index),
        memory_bytes: gb * GB,
        memory_total_bytes: gb * GB,
        bandwidth_bytes_per_s: 100 * GB,
        has_model: false,
    });
    let links = (0..count).flat_map(|a| (a + 1..count).map(move |b| linked(a, b)));
    Problem {
        cache_tokens: cluster::cache_tokens(&card),
        card,
        sharding: ShardingChoice::Auto,
        nodes: NodeCount::Any,
        node_ids: Vec::new(),
        opener: node_id(0),
        copies: Vec::new(),
        candidates: candidates.collect(),
        links: links.collect(),
    }
}

pub fn describe(placement: &Placement) -> String {
    let plan = &placement.plan;
    let shards: Vec<String> = plan
        .shards
        .iter()
        .map(|shard| {
            let part = match plan.sharding {
                Sharding::Pipeline => format!("{:?}", shard.layers),
                Sharding::Tensor => format!("{}/{}", shard.tensor.index, shard.tensor.of),
            };
            let gb = shard.bytes as f64 / GB as f64;
            format!("node {} {part} {gb:.2} GB", shard.node.0[0])
        })
        .collect();
    let speed = placement.tokens_per_s;
    format!(
        "{:?} {speed:.1} tok/s: {}\n",
        plan.sharding,
        shards.join(", ")
    )
}

pub fn assert_sound(problem: &Problem, plan: &ShardPlan) {
    let layers = problem.card.layer_count();
    let world = plan.world();
    for (rank, shard) in (0..).zip(&plan.shards) {
        assert_eq!(plan.rank_of(shard.node), Some(rank), "one rank for a node");
        let candidate = problem.candidates.iter().find(|c| c.node == shard.node);
        assert!(shard.bytes <= candidate.unwrap().memory_bytes);
        let of = shard.tensor.of;
        let bytes = shard_bytes(
            &problem.card,
            &shard.layers,
            shard.tensor,
            problem.cache_tokens,
        );
        assert_eq!(shard.bytes, bytes);
        match plan.sharding {
            Sharding::Pipeline => assert_eq!(shard.tensor, TensorSlice::WHOLE),
            Sharding::Tensor => {
                assert_eq!(shard.layers, 0..layers);
                assert_eq!((shard.tensor.index, of), (rank, world));
                assert!(problem.card.tensor_degrees.contains(&of));
            }
        }
    }
    if plan.sharding == Sharding::Pipeline {
        let mut next = 0;
        for shard in plan.shards.iter().rev() {
            assert_eq!(
                shard.layers.start, next,
                "layers in order, from the last rank down"
            );
            assert!(shard.layers.end > next);
            next = shard.layers.end;
        }
        assert_eq!(next, layers);
    }
}

/// Small pipelines over up to four unequal nodes, some of them not linked, some too small.
pub fn any_problem() -> impl Strategy<Value = Problem> {
    let layers = prop::collection::vec((1_u64..30, 1_u64..30), 1..7);
    let nodes = prop::collection::vec((3_u64..60, 1_u64..5), 1..5);
    let missing_links = prop::collection::vec(prop::bool::weighted(0.2), 6);
    (layers, nodes, missing_links, any::<bool>(), 0_u64..20).prop_map(
        |(layers, nodes, missing_links, tied, ends)| {
            const UNIT: u64 = 50_000_000;
            let mut card = card(layers.len(), 0);
            for (layer, (weights, active)) in card.layers.iter_mut().zip(&layers) {
                layer.weights_bytes = weights * UNIT;
                layer.active_bytes = active * UNIT;
                layer.replicated_bytes = weights * UNIT / 7;
                layer.window = CacheWindow::new((weights % 2 * 100) as u32);
            }
            card.tied = tied;
            card.embedding_bytes = ends * UNIT;
            card.head_bytes = ends * UNIT + 1_000;
            let mut problem = problem(card, &vec![0; nodes.len()]);
            problem.cache_tokens = 20_000;
            problem.sharding = ShardingChoice::Pipeline;
            for (candidate, (memory, speed)) in problem.candidates.iter_mut().zip(&nodes) {
                candidate.memory_bytes = memory * UNIT;
                candidate.bandwidth_bytes_per_s = speed * 10 * GB;
            }
            let mut missing = missing_links.into_iter();
            problem.links.retain(|_| !missing.next().unwrap_or(false));
            problem
        },
    )
}
