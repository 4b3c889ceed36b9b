//! The life of an instance, step by step: a few nodes whose records arrive at once.

pub mod by_hand;

use base::{ErrorCode, Failure, Fingerprint, InstanceId, Secret, ShardingChoice};
use cluster::{Event, InstanceState, OpenInstance, limits};
use expect_test::expect;

use super::make::{GB, card, node_id};
use by_hand::Cluster;

const ID: InstanceId = InstanceId(7);

/// A model of 8 layers with 1 GB each, over as many nodes.
fn open(nodes: u32) -> Event {
    let card = card(8, GB);
    Event::Open(Box::new(OpenInstance {
        id: ID,
        model: base::ModelId("oak".to_owned()),
        folder: "/models/oak".to_owned(),
        fingerprint: Fingerprint([1; 32]),
        origin: None,
        card,
        sharding: ShardingChoice::Pipeline,
        node_count: Some(nodes),
        node_ids: Vec::new(),
        secret: Secret([9; 32]),
        on_demand: false,
        draft: None,
    }))
}

#[test]
fn two_nodes_reserve_then_start_then_answer() {
    let mut cluster = Cluster::new(&[32, 32]);
    cluster.tell(0, open(2));
    expect![[r#"
        node 0: reserve #1 rank 0 on 10.0.1.1, 10.0.1.1
        node 1: reserve #1 rank 1 on 10.1.0.1, 10.1.0.1
    "#]]
    .assert_eq(&cluster.take_log());
    cluster.all_reserved();
    expect![[r#"
        node 1: start #1 rank 1 of 2, layers 0..4, ring [10.0.1.1:5000, 10.1.0.1:5001], plan Some(10.0.1.1:6000)
        node 0: start #1 rank 0 of 2, layers 4..8, ring [10.0.1.1:5000, 10.1.0.1:5001], plan Some(10.0.1.1:6000)
    "#]].assert_eq(&cluster.take_log());
    cluster.all_ready();
    assert_eq!(cluster.states(ID), [InstanceState::Ready; 2]);
    assert_eq!(cluster.view(1, ID).driver(), Some(node_id(0)));
}

#[test]
fn a_single_node_needs_no_ring() {
    let mut cluster = Cluster::new(&[32]);
    cluster.tell(0, open(1));
    cluster.all_reserved();
    expect![[r#"
        node 0: reserve #1 rank 0 on 127.0.0.1, 127.0.0.1
        node 0: start #1 rank 0 of 1, layers 0..8, ring [], plan None
    "#]]
    .assert_eq(&cluster.take_log());
}

#[test]
fn a_users_limit_counts_for_all_shards_together() {
    let mut cluster = Cluster::lending(&[64], Some(12 * GB));
    cluster.tell(0, open(1));
    cluster.run();
    assert_eq!(cluster.states(ID), [InstanceState::Ready]);
    let Event::Open(second) = open(1) else {
        panic!("made above");
    };
    let id = InstanceId(8);
    cluster.tell(0, Event::Open(Box::new(OpenInstance { id, ..*second })));
    cluster.run();
    let refused = cluster.view(0, id).failure.map(|failure| failure.code);
    assert_eq!(refused, Some(ErrorCode::NotEnoughMemory));
    assert_eq!(cluster.states(ID), [InstanceState::Ready]);
}

#[test]
fn a_lost_node_is_replaced_at_once() {
    let mut cluster = Cluster::new(&[32, 32, 32]);
    cluster.tell(0, open(2));
    cluster.run();
    cluster.take_log();
    cluster.lose(1);
    assert_eq!(cluster.states(ID)[0], InstanceState::Mending);
    cluster.run();
    assert_eq!(cluster.states(ID), [InstanceState::Ready; 2]);
    let nodes: Vec<_> = cluster.view(0, ID).shards.iter().map(|s| s.node).collect();
    assert_eq!(nodes, [node_id(0), node_id(2)]);
}

#[test]
fn with_nobody_in_reserve_it_goes_on_with_fewer() {
    let mut cluster = Cluster::new(&[32, 32, 32]);
    cluster.tell(0, open(3));
    cluster.run();
    cluster.lose(2);
    cluster.run();
    assert_eq!(cluster.states(ID), [InstanceState::Ready; 2]);
    assert_eq!(cluster.view(0, ID).shards.len(), 2);
}

#[test]
fn the_next_rank_takes_over_when_the_owner_is_gone() {
    let mut cluster = Cluster::new(&[32, 32, 32]);
    cluster.tell(0, open(3));
    cluster.run();
    cluster.lose(0);
    cluster.run();
    assert_eq!(cluster.states(ID), [InstanceState::Ready; 2]);
    let view = cluster.view(2, ID);
    assert_eq!(view.owner, node_id(1));
    assert_eq!(view.shards.len(), 2);
}

#[test]
fn an_owner_that_ran_nothing_leaves_the_workers_running() {
    let mut cluster = Cluster::new(&[1, 32, 32]);
    cluster.tell(0, open(2));
    cluster.run();
    let before = cluster.view(1, ID);
    cluster.take_log();
    cluster.lose(0);
    cluster.run();
    assert_eq!(cluster.take_log(), "", "nothing was stopped or started");
    let after = cluster.view(1, ID);
    assert_eq!(after.generation, before.generation);
    assert_eq!(after.owner, before.shards[0].node);
    assert_eq!(cluster.states(ID), [InstanceState::Ready; 2]);
}

#[test]
fn a_node_that_parts_goes_on_alone_with_what_it_owns() {
    let mut cluster = Cluster::new(&[32, 32]);
    cluster.tell(0, open(2));
    cluster.run();
    cluster.part(0);
    cluster.run();
    // The owner has it alone, and so has the other, which took it over.
    for node in [0, 1] {
        let view = cluster.view(node, ID);
        assert_eq!(view.state, InstanceState::Ready);
        assert_eq!(view.owner, node_id(node as u8));
        assert_eq!(view.shards.len(), 1);
    }
    assert_eq!(cluster.online(0), 1);
}

#[test]
fn a_node_that_parts_forgets_what_others_own_and_stops_its_shards() {
    let mut cluster = Cluster::new(&[32, 32]);
    cluster.tell(0, open(2));
    cluster.run();
    cluster.take_log();
    cluster.part(1);
    cluster.run();
    assert_eq!(cluster.find(1, ID), None);
    let log = cluster.take_log();
    assert!(log.contains("node 1: stop #1"), "{log}");
    assert_eq!(cluster.view(0, ID).shards.len(), 1);
}

#[test]
fn a_lower_limit_counts_from_then_on() {
    let mut cluster = Cluster::new(&[64]);
    cluster.tell(0, open(1));
    cluster.run();
    let changed = Event::Changed {
        name: "study".to_owned(),
        memory_lent_bytes_max: Some(GB),
    };
    cluster.tell(0, changed);
    cluster.run();
    assert_eq!(cluster.states(ID), [InstanceState::Ready]);
    assert_eq!(cluster.node_record(0).name, "study");
    let Event::Open(second) = open(1) else {
        panic!("made above");
    };
    let id = InstanceId(8);
    cluster.tell(0, Event::Open(Box::new(OpenInstance { id, ..*second })));
    cluster.run();
    let refused = cluster.view(0, id).failure.map(|failure| failure.code);
    assert_eq!(refused, Some(ErrorCode::NotEnoughMemory));
}

#[test]
fn a_node_without_the_model_is_not_asked_again() {
    let mut cluster = Cluster::new(&[32, 32, 32]);
    cluster.tell(0, open(2));
    cluster.all_reserved();
    let failure = Failure::new(ErrorCode::ModelNotFound, "no folder /models/oak here");
    cluster.fail_worker(1, failure);
    cluster.run();
    let nodes: Vec<_> = cluster.view(0, ID).shards.iter().map(|s| s.node).collect();
    assert_eq!(nodes, [node_id(0), node_id(2)]);
    assert_eq!(cluster.states(ID), [InstanceState::Ready; 3]);
}

#[test]
fn a_damaged_model_fails_with_its_reason() {
    let mut cluster = Cluster::new(&[32]);
    cluster.tell(0, open(1));
    cluster.all_reserved();
    let failure = Failure::new(ErrorCode::ModelDamaged, "model.safetensors is truncated");
    cluster.fail_worker(0, failure);
    let view = cluster.view(0, ID);
    assert_eq!(view.state, InstanceState::Failed);
    assert_eq!(view.failure.unwrap().code, ErrorCode::ModelDamaged);
}

#[test]
fn a_crash_loop_slows_down_and_ends() {
    let mut cluster = Cluster::new(&[32]);
    cluster.tell(0, open(1));
    let start_ms = cluster.now_ms;
    let mut attempts = 0;
    while cluster.view(0, ID).state != InstanceState::Failed {
        cluster.all_reserved();
        cluster.fail_worker(0, Failure::new(ErrorCode::WorkerLost, "killed"));
        cluster.pass_time();
        attempts += 1;
    }
    assert_eq!(attempts, limits::RETRY_DELAYS_MS.len() + 1);
    let waited_ms: u64 = limits::RETRY_DELAYS_MS.iter().sum();
    assert!(cluster.now_ms - start_ms >= waited_ms);
    let failure = cluster.view(0, ID).failure.unwrap();
    expect!["rank 0 on node 0: killed"].assert_eq(&failure.to_string());
}

#[test]
fn silence_is_a_failure_in_the_end() {
    let mut cluster = Cluster::new(&[32, 32]);
    cluster.tell(0, open(2));
    cluster.all_reserved();
    let generation = cluster.view(0, ID).generation;
    let start_ms = cluster.now_ms;
    while cluster.view(0, ID).generation == generation {
        cluster.pass_time();
    }
    assert_eq!(cluster.now_ms - start_ms, limits::LOAD_SILENCE_LIMIT_MS);
}

#[test]
fn what_fits_nowhere_waits_and_starts_when_a_node_joins() {
    let mut cluster = Cluster::new(&[4, 32]);
    cluster.lose(1);
    cluster.tell(0, open(1));
    let view = cluster.view(0, ID);
    assert_eq!(view.state, InstanceState::Placing);
    expect!["the model needs 8.7 GB as 1 shard(s), but the 1 usable node(s) lend 4.0 GB in all, the largest 4.0 GB (hint: add a node, close other instances or programs, or choose a smaller or more quantized model)"].assert_eq(&view.failure.unwrap().to_string());
    cluster.rejoin_late(1, 32);
    cluster.run();
    assert_eq!(cluster.states(ID), [InstanceState::Ready; 2]);
    assert_eq!(cluster.view(0, ID).driver(), Some(node_id(1)));
}

#[test]
fn a_contradiction_fails_at_once() {
    let mut cluster = Cluster::new(&[32]);
    cluster.tell(0, open(9));
    let view = cluster.view(0, ID);
    assert_eq!(view.state, InstanceState::Failed);
}

#[test]
fn any_node_may_close() {
    let mut cluster = Cluster::new(&[32, 32, 32]);
    cluster.tell(0, open(2));
    cluster.run();
    cluster.take_log();
    cluster.tell(2, Event::Close { instance: ID });
    expect![[r#"
        node 0: stop #1
        node 1: stop #1
    "#]]
    .assert_eq(&cluster.take_log());
    for node in 0..3 {
        assert!(cluster.find(node, ID).is_none());
    }
}

#[test]
fn two_instances_never_share_memory() {
    let mut cluster = Cluster::new(&[16, 16]);
    cluster.tell(0, open(2));
    let second = InstanceId(8);
    let Event::Open(mut other) = open(2) else {
        unreachable!()
    };
    other.id = second;
    cluster.tell(1, Event::Open(other.clone()));
    // 16 GB hold two halves of 8 GB each, but not two and what comes with them.
    other.id = InstanceId(9);
    cluster.tell(1, Event::Open(other));
    assert_eq!(cluster.view(0, InstanceId(9)).state, InstanceState::Placing);
    cluster.run();
    assert_eq!(cluster.view(0, ID).state, InstanceState::Ready);
    assert_eq!(cluster.view(0, second).state, InstanceState::Ready);
}

#[test]
fn a_successor_waits_for_the_memory_of_a_worker_that_ended() {
    let mut cluster = Cluster::new(&[12]);
    cluster.tell(0, open(1));
    cluster.run();
    let memory = |available_bytes| Event::Memory {
        total_bytes: 12 * GB,
        available_bytes,
    };
    cluster.tell(0, memory(3 * GB));
    cluster.crash(0, Failure::new(ErrorCode::WorkerLost, "killed"));
    cluster.all_reserved();
    assert_eq!(cluster.take_starts(), 0, "8 GB are not free yet");
    cluster.tell(0, memory(12 * GB));
    cluster.all_reserved();
    assert_eq!(cluster.take_starts(), 1);
}

#[test]
fn a_node_refuses_what_it_has_no_memory_for() {
    let mut cluster = Cluster::new(&[12]);
    cluster.tell(0, open(1));
    let memory = Event::Memory {
        total_bytes: 12 * GB,
        available_bytes: 2 * GB,
    };
    cluster.tell(0, memory);
    cluster.all_reserved();
    let view = cluster.view(0, ID);
    assert_eq!(view.state, InstanceState::Mending);
    expect!["the model needs 8.7 GB as 1 shard(s), but the 1 usable node(s) lend 2.0 GB in all, the largest 2.0 GB (hint: add a node, close other instances or programs, or choose a smaller or more quantized model)"].assert_eq(&view.failure.unwrap().to_string());
    let memory = Event::Memory {
        total_bytes: 12 * GB,
        available_bytes: 12 * GB,
    };
    cluster.tell(0, memory);
    cluster.run();
    assert_eq!(cluster.states(ID), [InstanceState::Ready]);
}

#[test]
fn a_hundred_instances_come_and_go() {
    let mut cluster = Cluster::new(&[32, 32]);
    for number in 0..limits::CLOSED_MAX as u64 + 100 {
        let Event::Open(mut open) = open(2) else {
            unreachable!()
        };
        open.id = InstanceId(number);
        cluster.tell(0, Event::Open(open));
        cluster.run();
        let ready = cluster.states(InstanceId(number));
        assert_eq!(ready, [InstanceState::Ready; 2]);
        let instance = InstanceId(number);
        cluster.tell(1, Event::Close { instance });
    }
    assert!(cluster.node_record(1).owns.len() <= limits::CLOSED_MAX);
}

#[test]
fn records_that_come_before_the_link_count_once_it_is_up() {
    let mut cluster = Cluster::new(&[32, 32]);
    cluster.lose(1);
    cluster.rejoin_late(1, 32);
    assert_eq!(cluster.online(0), 2);
}

#[test]
fn nobody_speaks_for_another() {
    let mut cluster = Cluster::new(&[32, 32, 32]);
    cluster.tell(0, open(2));
    cluster.run();
    let before = cluster.view(1, ID);
    let mut forged = cluster.instance_record(0, ID);
    forged.version += 10;
    forged.phase = base::InstancePhase::Closed;
    cluster.tell(
        1,
        Event::Instance {
            from: node_id(2),
            record: Box::new(forged),
        },
    );
    let mut forged = cluster.node_record(0);
    forged.version += 10;
    forged.shards.clear();
    cluster.tell(
        1,
        Event::Node {
            from: node_id(2),
            record: Box::new(forged),
        },
    );
    assert_eq!(cluster.view(1, ID), before);
}
