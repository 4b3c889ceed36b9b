//! A plan whose nodes lack files of the model: they fetch them first, however long that takes.

use base::{
    ErrorCode, Failure, Fingerprint, HubRevision, InstanceId, ModelId, Secret, ShardStatus,
    ShardingChoice,
};
use cluster::{Event, InstanceState, OpenInstance, limits};
use expect_test::expect;

use super::lifecycle::by_hand::Cluster;
use super::make::{GB, card, node_id};

const ID: InstanceId = InstanceId(7);
const HOUR_MS: u64 = 3_600_000;

/// A model of 8 layers with 1 GB each, over as many nodes.
fn open(cluster: &mut Cluster, nodes: u32, revision: &str) {
    let origin = HubRevision {
        repository: "trees/oak".to_owned(),
        revision: revision.to_owned(),
    };
    let open = OpenInstance {
        id: ID,
        model: ModelId("oak".to_owned()),
        folder: "/models/oak".to_owned(),
        fingerprint: Fingerprint([1; 32]),
        origin: Some(origin),
        card: card(8, GB),
        sharding: ShardingChoice::Pipeline,
        node_count: Some(nodes),
        node_ids: Vec::new(),
        secret: Secret([9; 32]),
        on_demand: false,
        draft: None,
    };
    cluster.tell(0, Event::Open(Box::new(open)));
}

/// Two nodes of three that prepare, and what was done for that.
fn preparing() -> Cluster {
    let mut cluster = Cluster::new(&[32, 32, 32]);
    cluster.fetches = true;
    open(&mut cluster, 2, &"a".repeat(40));
    expect![[r#"
        node 0: prepare #1 rank 0, layers 4..8
        node 1: prepare #1 rank 1, layers 0..4
    "#]]
    .assert_eq(&cluster.take_log());
    cluster
}

#[test]
fn no_worker_starts_before_all_have_their_files() {
    let mut cluster = preparing();
    assert_eq!(cluster.states(ID), [InstanceState::Placing; 3]);
    cluster.fetch(1, 0, 100);
    assert_eq!(cluster.states(ID), [InstanceState::Downloading; 3]);
    cluster.prepared(0);
    cluster.all_reserved();
    expect!["node 0: reserve #1 rank 0 on 10.0.1.1, 10.0.1.1\n"].assert_eq(&cluster.take_log());
    cluster.now_ms += HOUR_MS;
    cluster.fetch(1, 70, 100);
    for node in 0..3 {
        let view = cluster.view(node, ID);
        assert_eq!(view.fetch_progress(), (70, 100));
        assert_eq!(view.shards[1].fetch_progress(), Some((70, 100)));
        assert_eq!(view.load_progress(), (0, 0));
    }
    cluster.prepared(1);
    cluster.all_reserved();
    expect![[r#"
        node 1: reserve #1 rank 1 on 10.1.0.1, 10.1.0.1
        node 1: start #1 rank 1 of 2, layers 0..4, ring [10.0.1.1:5000, 10.1.0.1:5001], plan Some(10.0.1.1:6000)
        node 0: start #1 rank 0 of 2, layers 4..8, ring [10.0.1.1:5000, 10.1.0.1:5001], plan Some(10.0.1.1:6000)
    "#]]
    .assert_eq(&cluster.take_log());
    cluster.all_ready();
    assert_eq!(cluster.states(ID), [InstanceState::Ready; 3]);
    assert_eq!(cluster.view(0, ID).fetch_progress(), (0, 0));
}

#[test]
fn a_plan_that_fetches_is_left_alone_for_hours_whoever_joins() {
    let mut cluster = preparing();
    cluster.prepared(0);
    cluster.all_reserved();
    cluster.fetch(1, 1, 100);
    cluster.take_log();
    cluster.lose(2);
    cluster.rejoin(2, 512);
    for _ in 0..24 {
        cluster.now_ms += HOUR_MS;
        cluster.pass_time();
    }
    assert_eq!(cluster.take_log(), "");
    assert_eq!(cluster.view(0, ID).generation, 1);
    assert_eq!(cluster.states(ID), [InstanceState::Downloading; 3]);
}

#[test]
fn the_time_to_start_counts_from_when_the_last_has_its_ports() {
    let mut cluster = preparing();
    cluster.prepared(0);
    cluster.all_reserved();
    cluster.fetch(1, 1, 100);
    cluster.now_ms += HOUR_MS;
    cluster.prepared(1);
    cluster.all_reserved();
    let start_ms = cluster.now_ms;
    while cluster.view(0, ID).generation == 1 {
        cluster.pass_time();
    }
    assert_eq!(cluster.now_ms - start_ms, limits::LOAD_SILENCE_LIMIT_MS);
}

#[test]
fn a_node_that_never_finds_out_what_it_lacks_is_given_up() {
    let mut cluster = preparing();
    let start_ms = cluster.now_ms;
    while cluster.view(0, ID).generation == 1 {
        cluster.pass_time();
    }
    assert_eq!(cluster.now_ms - start_ms, limits::LOOK_LIMIT_MS);
}

#[test]
fn what_is_fetched_for_a_plan_that_goes_is_left_off() {
    let mut cluster = preparing();
    cluster.fetch(0, 1, 100);
    cluster.fetch(1, 1, 100);
    cluster.lose(1);
    expect![[r#"
        node 0: stop #1
        node 0: prepare #2 rank 0, layers 4..8
        node 2: prepare #2 rank 1, layers 0..4
    "#]]
    .assert_eq(&cluster.take_log());
    cluster.tell(2, Event::Close { instance: ID });
    expect![[r#"
        node 2: stop #2
        node 0: stop #2
    "#]]
    .assert_eq(&cluster.take_log());
}

#[test]
fn a_node_that_cannot_get_the_files_is_not_asked_again() {
    let mut cluster = preparing();
    cluster.fetch(1, 1, 100);
    let failure = Failure::new(ErrorCode::ModelNotFound, "no hub has it");
    cluster.fail_to_prepare(1, failure);
    expect![[r#"
        node 0: stop #1
        node 0: prepare #2 rank 0, layers 4..8
        node 2: prepare #2 rank 1, layers 0..4
    "#]]
    .assert_eq(&cluster.take_log());
    let failure = Failure::new(ErrorCode::ModelNotFound, "no hub has it");
    cluster.fail_to_prepare(2, failure);
    cluster.pass_time();
    expect![[r#"
        node 0: stop #2
        node 0: prepare #3 rank 0, layers 0..8
    "#]]
    .assert_eq(&cluster.take_log());
    let failure = Failure::new(ErrorCode::ModelNotFound, "no hub has it");
    cluster.fail_to_prepare(0, failure);
    cluster.pass_time();
    let view = cluster.view(0, ID);
    assert_eq!(view.state, InstanceState::Failed);
    assert_eq!(view.failure.unwrap().code, ErrorCode::ModelNotFound);
}

#[test]
fn memory_is_promised_while_files_are_fetched() {
    let mut cluster = Cluster::new(&[12]);
    cluster.fetches = true;
    open(&mut cluster, 1, &"a".repeat(40));
    cluster.fetch(0, 1, 100);
    let second = InstanceId(8);
    let other = OpenInstance {
        id: second,
        model: ModelId("elm".to_owned()),
        folder: "/models/elm".to_owned(),
        fingerprint: Fingerprint([2; 32]),
        origin: None,
        card: card(8, GB),
        sharding: ShardingChoice::Auto,
        node_count: None,
        node_ids: Vec::new(),
        secret: Secret([8; 32]),
        on_demand: false,
        draft: None,
    };
    cluster.tell(0, Event::Open(Box::new(other)));
    let refused = cluster.view(0, second).failure.map(|failure| failure.code);
    assert_eq!(refused, Some(ErrorCode::NotEnoughMemory));
}

#[test]
fn progress_is_told_now_and_then_and_how_much_is_missing_at_once() {
    let mut cluster = preparing();
    let version = |cluster: &Cluster| cluster.node_record(1).version;
    let before = version(&cluster);
    cluster.fetch(1, 0, 100);
    assert_eq!(version(&cluster), before + 1);
    for done in 1..50 {
        cluster.fetch(1, done, 100);
    }
    assert_eq!(version(&cluster), before + 1);
    cluster.now_ms += limits::PROGRESS_INTERVAL_MS;
    cluster.fetch(1, 50, 100);
    assert_eq!(version(&cluster), before + 2);
    let told = cluster.view(0, ID).shards[1].status.clone();
    let expected = ShardStatus::Fetching {
        bytes_done: 50,
        bytes_total: 100,
    };
    assert_eq!(told, Some(expected));
}

#[test]
fn where_files_come_from_is_a_commit_and_everybody_knows() {
    let mut cluster = preparing();
    for node in 0..3 {
        let origin = cluster.view(node, ID).origin;
        assert_eq!(origin.map(|it| it.revision), Some("a".repeat(40)));
    }
    cluster.tell(0, Event::Close { instance: ID });
    let mut cluster = Cluster::new(&[32]);
    open(&mut cluster, 1, "main");
    assert_eq!(cluster.view(0, ID).origin, None);
}

#[test]
fn a_node_that_fetched_and_says_nothing_more_of_it_has_a_while_to_go_on() {
    let mut cluster = preparing();
    cluster.fetch(1, 1, 100);
    // It has started again, so fast that nobody missed it, and has not begun anew yet.
    let mut fresh = cluster.node_record(1);
    fresh.epoch_ms += 1;
    fresh.shards.clear();
    let from = node_id(1);
    let record = Box::new(fresh);
    cluster.tell(0, Event::Node { from, record });
    let start_ms = cluster.now_ms;
    assert_eq!(cluster.view(0, ID).generation, 1);
    while cluster.view(0, ID).generation == 1 {
        cluster.pass_time();
    }
    assert_eq!(cluster.now_ms - start_ms, limits::RESERVE_LIMIT_MS);
}
