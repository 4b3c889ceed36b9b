//! Placements: what is chosen, what is refused with which words, and that no better split exists.

mod brute;
mod on_disk;

use base::{ShardingChoice, TensorSlice};
use cluster::{NodeCount, PlacementError, Problem, placement as engine, solve};
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::make::{self, GB, card, linked, node_id, problem};

/// The placements in words, best first, or why there is none.
fn check(problem: &Problem, expected: &Expect) {
    let text = match solve(problem, None) {
        Ok(placements) => placements.iter().map(make::describe).collect::<String>(),
        Err(error) => format!("{}\n", error.failure()),
    };
    expected.assert_eq(&text);
}

#[test]
fn a_model_that_fits_runs_where_it_was_opened() {
    let problem = problem(card(8, GB), &[32, 32, 32]);
    let best = &solve(&problem, None).unwrap()[0];
    assert_eq!(best.plan.shards.len(), 1);
    assert_eq!(best.plan.shards[0].node, node_id(0));
}

#[test]
fn a_model_too_big_for_one_node_is_divided_over_as_few_as_it_takes() {
    check(
        &problem(card(8, GB), &[8, 6, 6]),
        &expect![[r#"
        Tensor 19.9 tok/s: node 0 0/2 4.66 GB, node 1 1/2 4.49 GB
        Tensor 19.9 tok/s: node 0 0/2 4.66 GB, node 2 1/2 4.49 GB
        Pipeline 12.2 tok/s: node 0 4..8 4.52 GB, node 1 0..4 4.45 GB
        Pipeline 12.2 tok/s: node 0 4..8 4.52 GB, node 2 0..4 4.45 GB
        Tensor 19.9 tok/s: node 1 0/2 4.66 GB, node 2 1/2 4.49 GB
        Pipeline 12.2 tok/s: node 1 4..8 4.52 GB, node 2 0..4 4.45 GB
        Pipeline 12.2 tok/s: node 0 6..8 2.48 GB, node 1 3..6 3.34 GB, node 2 0..3 3.44 GB
    "#]],
    );
}

#[test]
fn unequal_nodes_get_unequal_shares() {
    let mut problem = problem(card(12, GB), &[4, 12]);
    problem.sharding = ShardingChoice::Pipeline;
    check(
        &problem,
        &expect![[r#"
        Pipeline 8.2 tok/s: node 0 9..12 3.50 GB, node 1 0..9 9.54 GB
    "#]],
    );
}

#[test]
fn faster_memory_gets_more_layers() {
    let mut problem = problem(card(12, GB), &[32, 32]);
    problem.nodes = NodeCount::Exactly(2);
    problem.candidates[1].bandwidth_bytes_per_s *= 3;
    check(
        &problem,
        &expect![[r#"
        Pipeline 16.2 tok/s: node 0 9..12 3.50 GB, node 1 0..9 9.54 GB
        Tensor 13.4 tok/s: node 0 0/2 6.71 GB, node 1 1/2 6.55 GB
    "#]],
    );
}

#[test]
fn a_division_asked_for_by_name_divides() {
    let mut problem = problem(card(8, GB), &[32, 32]);
    problem.sharding = ShardingChoice::Tensor;
    let best = &solve(&problem, None).unwrap()[0];
    let slices: Vec<TensorSlice> = best.plan.shards.iter().map(|shard| shard.tensor).collect();
    assert_eq!(
        slices,
        [0, 1].map(|index| TensorSlice { index, of: 2 }),
        "{best:?}"
    );
    assert!(best.plan.shards.iter().all(|shard| shard.layers == (0..8)));
}

#[test]
fn a_tensor_split_that_the_heads_forbid_is_refused() {
    let mut problem = problem(card(8, GB), &[32, 32, 32]);
    problem.sharding = ShardingChoice::Tensor;
    problem.nodes = NodeCount::Exactly(3);
    check(
        &problem,
        &expect![[r#"
        3 ranks can't split this model's heads evenly; possible: 1, 2, 4, 8 (hint: ask for one of those numbers of nodes, or for a pipeline)
    "#]],
    );
    assert!(solve(&problem, None).unwrap_err().is_permanent());
}

#[test]
fn what_does_not_fit_is_refused_with_numbers() {
    check(
        &problem(card(8, GB), &[3, 2]),
        &expect![[r#"
        the model needs 9.0 GB as 2 shard(s), but the 2 usable node(s) lend 5.0 GB in all, the largest 3.0 GB (hint: add a node, close other instances or programs, or choose a smaller or more quantized model)
    "#]],
    );
    let mut tensor = problem(card(8, GB), &[3, 2]);
    tensor.sharding = ShardingChoice::Tensor;
    check(
        &tensor,
        &expect![[r#"
        the model needs 9.2 GB as 2 shard(s), but the 2 usable node(s) lend 5.0 GB in all, the largest 3.0 GB (hint: add a node, close other instances or programs, or choose a smaller or more quantized model)
    "#]],
    );
}

#[test]
fn more_nodes_than_there_are_is_refused() {
    let mut problem = problem(card(8, GB), &[32, 32]);
    problem.nodes = NodeCount::Exactly(3);
    check(
        &problem,
        &expect![[r#"
        3 nodes were asked for, but only 2 that are linked with each other can take part (hint: start more nodes, or ask for node_count 2)
    "#]],
    );
    problem.nodes = NodeCount::Exactly(0);
    check(
        &problem,
        &expect![[r#"
        a model can be divided over 1 to 8 nodes, not 0 (hint: ask for a node_count from 1 to 8)
    "#]],
    );
    problem.nodes = NodeCount::Exactly(1);
    problem.node_ids = vec![node_id(7)];
    check(
        &problem,
        &expect![[r#"
        1 of the nodes asked for is not here: 07070707 (hint: start them, or leave node_ids out to let the planner choose)
    "#]],
    );
    problem.node_ids = vec![node_id(1), node_id(1)];
    check(
        &problem,
        &expect![[r#"
        node 01010101 is asked for twice, but holds one shard at most (hint: name every node once)
    "#]],
    );
}

#[test]
fn more_stages_than_layers_are_refused() {
    let mut problem = problem(card(2, GB), &[32, 32, 32]);
    problem.sharding = ShardingChoice::Pipeline;
    problem.nodes = NodeCount::Exactly(3);
    check(
        &problem,
        &expect![[r#"
        3 nodes can't divide 2 layers: each needs at least one (hint: ask for at most 2 nodes)
    "#]],
    );
}

#[test]
fn named_nodes_are_used_and_no_others() {
    let mut problem = problem(card(8, GB), &[32, 32, 32]);
    problem.node_ids = vec![node_id(2), node_id(1)];
    problem.nodes = NodeCount::Exactly(2);
    let placements = solve(&problem, None).unwrap();
    for placement in placements {
        let mut nodes: Vec<_> = placement.plan.shards.iter().map(|s| s.node).collect();
        nodes.sort();
        assert_eq!(nodes, [node_id(1), node_id(2)]);
    }
}

#[test]
fn nodes_that_are_not_linked_never_share_a_plan() {
    let mut problem = problem(card(8, GB), &[6, 6, 6]);
    problem.links = vec![linked(0, 2)];
    let nodes: Vec<_> = solve(&problem, None).unwrap()[0]
        .plan
        .shards
        .iter()
        .map(|shard| shard.node)
        .collect();
    assert_eq!(nodes, [node_id(0), node_id(2)]);
    problem.links.clear();
    let error = solve(&problem, None).unwrap_err();
    assert!(matches!(error, PlacementError::NotEnoughMemory { .. }));
}

#[test]
fn a_replacement_keeps_the_nodes_that_stay_in_their_order() {
    let mut problem = problem(card(9, GB), &[32, 32, 32, 32]);
    problem.nodes = NodeCount::Exactly(3);
    let mut first = solve(&problem, None).unwrap().remove(0).plan;
    first.shards.rotate_left(1); // so that the order is not the one it would choose anew
    problem.nodes = NodeCount::Wanted(3);
    problem
        .candidates
        .retain(|candidate| candidate.node != first.shards[1].node);
    let second = &solve(&problem, Some(&first)).unwrap()[0].plan;
    assert_eq!(second.shards.len(), 3);
    assert_eq!(second.shards[0].node, first.shards[0].node);
    assert_eq!(second.shards[1].node, first.shards[2].node);
    // With nobody in reserve it goes on with two.
    problem
        .candidates
        .retain(|c| first.rank_of(c.node).is_some());
    let third = &solve(&problem, Some(&first)).unwrap()[0].plan;
    assert_eq!(third.shards.len(), 2);
}

#[test]
fn tied_ends_on_one_rank_are_counted_once() {
    let mut tied = card(2, GB);
    tied.tied = true;
    tied.embedding_bytes = GB;
    tied.head_bytes = GB;
    let whole = engine::shard_bytes(&tied, &(0..2), TensorSlice::WHOLE, 0);
    let halves: u64 = [0..1, 1..2]
        .iter()
        .map(|layers| engine::shard_bytes(&tied, layers, TensorSlice::WHOLE, 0))
        .sum();
    let overhead = engine::WORKER_BYTES..engine::WORKER_BYTES + GB / 10;
    assert!(overhead.contains(&(halves - whole - GB)));
}

#[test]
fn tensor_ranks_copy_latents_and_divide_states() {
    let plain = card(2, GB);
    let with = |change: fn(&mut base::LayerCost)| {
        let mut card = plain.clone();
        card.layers.iter_mut().for_each(change);
        move |of: u32| {
            let tokens = cluster::cache_tokens(&card);
            engine::shard_bytes(&card, &(0..2), TensorSlice { index: 0, of }, tokens)
        }
    };
    let usual = with(|_| ());
    let latent = with(|layer| layer.replicated_cache_bytes_per_token = layer.cache_bytes_per_token);
    let cache = 2 * 4_096 * u64::from(cluster::cache_tokens(&plain));
    assert_eq!(latent(1), usual(1));
    assert_eq!(latent(2) - usual(2), cache / 2);
    let recurrent = with(|layer| layer.state_bytes = 1 << 20);
    let mut stateful = plain.clone();
    stateful.layers[0].state_bytes = 1;
    let states = 2 * (1 << 20) * u64::from(engine::sequences_max(&stateful));
    assert_eq!(recurrent(1) - usual(1), states);
    assert_eq!(recurrent(2) - usual(2), states / 2);
}

/// Five of six layers see a window of 1024, as Gemma 3's do.
fn with_windows(mut card: base::ModelCard) -> base::ModelCard {
    for layer in card.layers.iter_mut().take(5) {
        layer.window = base::CacheWindow::new(1024);
    }
    card
}

#[test]
fn windows_take_little_of_a_long_context() {
    let cache = |card: &base::ModelCard, tokens| {
        let bytes = |tokens| engine::shard_bytes(card, &(0..6), TensorSlice::WHOLE, tokens);
        (bytes(tokens) - bytes(0)) / 4_096
    };
    let plain = card(6, GB);
    let windows = with_windows(plain.clone());
    assert_eq!(cache(&plain, 131_072), 6 * 131_072);
    assert_eq!(cache(&windows, 131_072), 131_072 + 5 * 131_072 / 4);
    assert_eq!(cache(&windows, 8192), 6 * 8192, "short sequences fill them");
}

#[test]
fn what_is_planned_of_cache_is_known_by_the_plan() {
    let mut long = with_windows(card(6, GB));
    long.context_tokens_max = 131_072;
    for tokens in [4_096, 8_192, 20_000, 131_072] {
        let mut problem = problem(long.clone(), &[4, 4, 4]);
        problem.cache_tokens = tokens;
        let found = solve(&problem, None).unwrap();
        assert!(found.iter().any(|placement| placement.plan.world() > 1));
        for placement in found {
            let planned = engine::planned_cache_tokens(&long, &placement.plan);
            assert_eq!(planned, tokens, "{:?}", placement.plan);
        }
    }
}

#[test]
fn of_tensor_ranks_only_the_first_has_the_head() {
    let card = card(2, GB);
    let slice = |index| {
        let slice = TensorSlice { index, of: 2 };
        engine::shard_bytes(&card, &(0..2), slice, 0)
    };
    let logits = u64::from(card.vocabulary_size) * engine::ACTIVATION_TOKENS * 4;
    assert_eq!(slice(0) - slice(1), card.head_bytes + logits);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// For every set of nodes and driver that solve answers with, no order and split of the same has a faster
    /// slowest stage; and where it finds nothing, there is nothing.
    #[test]
    fn no_better_pipeline_exists(problem in make::any_problem()) {
        let all = brute::all(&problem);
        let found = match solve(&problem, None) {
            Ok(found) => found,
            Err(error) => {
                prop_assert!(all.is_empty(), "{error} but {:?}", all[0]);
                return Ok(());
            }
        };
        let mut sets = std::collections::BTreeSet::new();
        for placement in &found {
            let mut nodes: Vec<_> = placement.plan.shards.iter().map(|shard| shard.node).collect();
            let driver = nodes[0];
            nodes.sort();
            let best = all
                .iter()
                .filter(|other| other.driver() == driver && other.nodes() == nodes)
                .map(|other| other.slowest_s)
                .fold(f64::INFINITY, f64::min);
            let slowest_s = brute::slowest_s(&problem, &placement.plan);
            prop_assert!(slowest_s <= best * (1.0 + 1e-9), "{slowest_s} against {best}");
            sets.insert(nodes);
        }
        let possible: std::collections::BTreeSet<_> = all.iter().map(brute::Split::nodes).collect();
        prop_assert_eq!(sets.len(), possible.len().min(16));
    }

    /// Whatever is asked: every layer once and in order, nobody over capacity, bytes as documented.
    #[test]
    fn every_placement_is_sound(
        mut problem in make::any_problem(),
        sharding in prop_oneof![
            Just(ShardingChoice::Auto),
            Just(ShardingChoice::Pipeline),
            Just(ShardingChoice::Tensor),
        ],
    ) {
        problem.sharding = sharding;
        for placement in solve(&problem, None).unwrap_or_default() {
            make::assert_sound(&problem, &placement.plan);
            prop_assert!(placement.tokens_per_s.is_finite() && placement.tokens_per_s > 0.0);
        }
    }
}

/// A model of two layers that drafts.
fn with_draft(mut large: base::ModelCard) -> base::ModelCard {
    large.draft = Some(engine::draft_cost(&card(2, GB / 4)));
    large
}

#[test]
fn the_first_rank_has_room_for_a_model_that_drafts() {
    let (plain, drafted) = (card(8, GB), with_draft(card(8, GB)));
    let draft = drafted.draft.unwrap();
    assert_eq!(draft.weights_bytes, card(2, GB / 4).weights_bytes());
    assert_eq!(draft.cache_bytes_per_token, 2 * 4_096);
    let shards = [
        (4..8, TensorSlice::WHOLE, true),
        (0..4, TensorSlice::WHOLE, false),
        (0..8, TensorSlice { index: 0, of: 2 }, true),
        (0..8, TensorSlice { index: 1, of: 2 }, false),
    ];
    for (layers, tensor, drives) in shards {
        let more = |tokens| {
            let of = |card| engine::shard_bytes(card, &layers, tensor, tokens);
            of(&drafted) - of(&plain)
        };
        let expected = if drives {
            draft.weights_bytes + draft.step_bytes + 1_000 * draft.cache_bytes_per_token
        } else {
            0
        };
        assert_eq!(more(1_000), expected);
    }
}

#[test]
fn a_plan_knows_its_cache_beside_a_draft() {
    let drafted = with_draft(card(8, GB));
    for memory in [&[6, 6][..], &[6, 6, 6], &[32]] {
        let problem = problem(drafted.clone(), memory);
        let found = solve(&problem, None).unwrap();
        for placement in found {
            let plan = &placement.plan;
            let planned = engine::planned_cache_tokens(&drafted, plan);
            assert_eq!(planned, problem.cache_tokens, "{plan:?}");
            // As the search counted it: no shard takes more than its node lends.
            for shard in &plan.shards {
                let lent = problem.candidates.iter().find(|it| it.node == shard.node);
                assert!(shard.bytes <= lent.unwrap().memory_bytes);
            }
        }
    }
}
