//! Nodes that have the model's files come first: after what was asked for, before speed and the number of nodes.

use base::{Fingerprint, InstanceId, ModelId, NodeId, Secret, ShardPlan, ShardingChoice};
use cluster::{Event, NodeCount, OpenInstance, Problem, solve};
use proptest::prelude::*;

use super::super::lifecycle::by_hand::Cluster;
use super::super::make::{self, GB, card, node_id, problem};
use super::brute;

const ID: InstanceId = InstanceId(7);
const OAK: Fingerprint = Fingerprint([1; 32]);

/// The problem where these have the model, of nodes by their numbers.
fn with_model(mut problem: Problem, nodes: &[u8]) -> Problem {
    for candidate in &mut problem.candidates {
        candidate.has_model = nodes.contains(&candidate.node.0[0]);
    }
    problem
}

fn best(problem: &Problem) -> Vec<u8> {
    numbers(&solve(problem, None).unwrap()[0].plan)
}

fn numbers(plan: &ShardPlan) -> Vec<u8> {
    let mut numbers: Vec<u8> = plan.shards.iter().map(|shard| shard.node.0[0]).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_fast_node_without_the_model_is_left_out() {
    let mut divided = problem(card(8, GB), &[6, 6, 6]);
    divided.candidates[1].bandwidth_bytes_per_s *= 4;
    assert_eq!(best(&divided), [0, 1]);
    assert_eq!(best(&with_model(divided.clone(), &[0, 2])), [0, 2]);
    assert_eq!(best(&with_model(divided, &[0, 1, 2])), [0, 1]);
}

#[test]
fn two_nodes_that_have_it_are_better_than_one_that_would_have_to_fetch() {
    let problem = problem(card(8, GB), &[6, 32, 6]);
    assert_eq!(best(&problem), [1]);
    assert_eq!(best(&with_model(problem, &[0, 2])), [0, 2]);
}

#[test]
fn what_a_user_asks_for_counts_more() {
    let mut three = with_model(problem(card(8, GB), &[32, 32, 32]), &[0]);
    assert_eq!(best(&three), [0]);
    three.nodes = NodeCount::Exactly(3);
    assert_eq!(best(&three), [0, 1, 2]);
    three.nodes = NodeCount::Exactly(1);
    three.node_ids = vec![node_id(2)];
    assert_eq!(best(&three), [2]);
    let mut divided = with_model(problem(card(8, GB), &[32, 32, 32]), &[0]);
    divided.sharding = ShardingChoice::Tensor;
    assert_eq!(best(&divided).len(), 2);
}

#[test]
fn of_many_nodes_those_that_have_it_are_looked_at() {
    let mut many = with_model(problem(card(8, GB), &[16; 20]), &[0, 17, 18, 19]);
    many.nodes = NodeCount::Exactly(4);
    assert_eq!(best(&many), [0, 17, 18, 19]);
}

fn open(cluster: &mut Cluster, node_count: Option<u32>) {
    let open = OpenInstance {
        id: ID,
        model: ModelId("oak".to_owned()),
        folder: "/models/oak".to_owned(),
        fingerprint: OAK,
        origin: None,
        card: card(8, GB),
        sharding: ShardingChoice::Auto,
        node_count,
        node_ids: Vec::new(),
        secret: Secret([9; 32]),
        on_demand: false,
        draft: None,
    };
    cluster.tell(0, Event::Open(Box::new(open)));
    cluster.run();
}

fn placed(cluster: &Cluster) -> Vec<u8> {
    let shards = cluster.view(0, ID).shards;
    let mut numbers: Vec<u8> = shards.iter().map(|shard| shard.node.0[0]).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn nodes_tell_each_other_what_they_have() {
    let mut cluster = Cluster::new(&[6, 7, 6]);
    let elm = Fingerprint([2; 32]);
    for node in [0, 2] {
        cluster.tell(node, Event::Models(vec![elm, OAK, elm]));
    }
    assert_eq!(cluster.node_record(2).models, [OAK, elm]);
    let version = cluster.node_record(2).version;
    cluster.tell(2, Event::Models(vec![OAK, elm]));
    assert_eq!(cluster.node_record(2).version, version, "that is no news");
    open(&mut cluster, None);
    assert_eq!(placed(&cluster), [0, 2]);
}

#[test]
fn a_node_with_very_many_models_tells_of_some() {
    let mut cluster = Cluster::new(&[6, 6]);
    let many = (0..300_u16).rev().map(|number| {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        Fingerprint(bytes)
    });
    cluster.tell(1, Event::Models(many.collect()));
    let told = cluster.node_record(1).models;
    assert_eq!(told.len(), base::NodeRecord::MODELS_MAX);
    assert!(told.is_sorted());
}

#[test]
fn a_lost_node_is_replaced_by_one_that_has_the_model() {
    let mut cluster = Cluster::new(&[6, 6, 32, 6]);
    for node in [0, 1, 3] {
        cluster.tell(node, Event::Models(vec![OAK]));
    }
    open(&mut cluster, Some(2));
    assert_eq!(placed(&cluster), [0, 1]);
    cluster.lose(1);
    cluster.run();
    assert_eq!(placed(&cluster), [0, 3]);
}

#[test]
fn a_node_that_holds_a_part_counts_as_one_that_has_the_model() {
    let mut cluster = Cluster::new(&[6, 6, 6, 32]);
    cluster.tell(0, Event::Models(vec![OAK]));
    cluster.tell(1, Event::Models(vec![OAK]));
    cluster.tell(2, Event::Models(vec![OAK]));
    open(&mut cluster, Some(3));
    assert_eq!(placed(&cluster), [0, 1, 2]);
    // What lies there is not whole any more, or never was.
    for node in [1, 2] {
        cluster.tell(node, Event::Models(Vec::new()));
    }
    cluster.lose(1);
    assert_eq!(placed(&cluster), [0, 2, 3], "as many as were asked for");
    cluster.run();
    cluster.lose(3);
    cluster.run();
    assert_eq!(placed(&cluster), [0, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// No possible plan has fewer nodes that lack the model than the first, and none of those that have as few has
    /// fewer nodes.
    #[test]
    fn the_first_has_the_least_to_fetch(problem in make::any_problem(), has in any::<[bool; 4]>()) {
        let nodes: Vec<u8> = (0..4).filter(|node| has[usize::from(*node)]).collect();
        let problem = with_model(problem, &nodes);
        let Ok(found) = solve(&problem, None) else {
            return Ok(());
        };
        let lacking = |plan: &[NodeId]| {
            plan.iter().filter(|node| !nodes.contains(&node.0[0])).count()
        };
        let cost = |plan: &[NodeId]| (plan.len() == 1, lacking(plan), plan.len());
        let all = brute::all(&problem);
        // A division was asked for by name, so one node alone is the last resort.
        let least = all.iter().map(|split| cost(&split.nodes())).min();
        let costs = found.iter().map(|placement| {
            let shards = placement.plan.shards.iter();
            cost(&shards.map(|shard| shard.node).collect::<Vec<_>>())
        });
        let costs: Vec<_> = costs.collect();
        prop_assert_eq!(costs.first(), least.as_ref());
        prop_assert!(costs.is_sorted());
    }

    /// If all have it, or nobody, that changes nothing.
    #[test]
    fn what_all_have_decides_nothing(problem in make::any_problem(), auto in any::<bool>()) {
        let mut none = with_model(problem, &[]);
        if auto {
            none.sharding = ShardingChoice::Auto;
        }
        let all = with_model(none.clone(), &[0, 1, 2, 3]);
        prop_assert_eq!(solve(&none, None), solve(&all, None));
    }
}
