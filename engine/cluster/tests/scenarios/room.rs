//! Which instances make room for another model, and where a second copy of a model goes.

use base::{Fingerprint, InstanceActivity, InstanceId, ModelId, Secret, ShardingChoice};
use cluster::{Asker, Event, NoRoom, OpenInstance, Wish};

use super::lifecycle::by_hand::Cluster;
use super::make::{GB, card, node_id};

/// An instance with 1 GB of weights for each layer.
#[derive(Clone, Copy)]
struct Open {
    id: u64,
    layers: usize,
    on_demand: bool,
}

fn on_demand(id: u64, layers: usize) -> Open {
    Open {
        id,
        layers,
        on_demand: true,
    }
}

fn open(cluster: &mut Cluster, node: usize, wish: Open) {
    let id = InstanceId(wish.id);
    let open = OpenInstance {
        id,
        model: ModelId(format!("model {}", wish.id)),
        folder: "/m".to_owned(),
        fingerprint: Fingerprint([wish.id as u8; 32]),
        origin: None,
        card: card(wish.layers, GB),
        sharding: ShardingChoice::Auto,
        node_count: None,
        node_ids: Vec::new(),
        secret: Secret([wish.id as u8; 32]),
        on_demand: wish.on_demand,
        draft: None,
    };
    cluster.tell(node, Event::Open(Box::new(open)));
    cluster.run();
}

/// Since when each instance of a node is idle; 0 is one in use.
fn used(cluster: &mut Cluster, node: usize, idle_since_ms: &[(u64, u64)]) {
    let activity = idle_since_ms
        .iter()
        .map(|&(id, since_ms)| InstanceActivity {
            instance: InstanceId(id),
            reading: 0,
            answering: u32::from(since_ms == 0),
            waiting: 0,
            tokens_per_1000_s: 0,
            idle_since_ms: Some(since_ms).filter(|since_ms| *since_ms > 0),
            expires_ms: None,
        });
    cluster.tell(node, Event::Activity(activity.collect()));
}

fn room(cluster: &Cluster, layers: usize, asker: Asker) -> Result<Vec<u64>, NoRoom> {
    let wish = Wish {
        card: card(layers, GB),
        fingerprint: Fingerprint([99; 32]),
        sharding: ShardingChoice::Auto,
        node_count: None,
        node_ids: Vec::new(),
    };
    let closed = cluster.room_for(0, &wish, asker)?;
    Ok(closed.into_iter().map(|id| id.0).collect())
}

#[test]
fn the_one_used_longest_ago_makes_room() {
    let mut cluster = Cluster::lending(&[64], Some(20 * GB));
    open(&mut cluster, 0, on_demand(1, 8));
    open(&mut cluster, 0, on_demand(2, 8));
    used(&mut cluster, 0, &[(1, 50), (2, 40)]);
    assert_eq!(room(&cluster, 1, Asker::Request), Ok(vec![]));
    assert_eq!(room(&cluster, 8, Asker::Request), Ok(vec![2]));
    assert_eq!(room(&cluster, 16, Asker::Request), Ok(vec![2, 1]));
    used(&mut cluster, 0, &[(1, 50), (2, 0)]);
    assert_eq!(room(&cluster, 8, Asker::Request), Ok(vec![1]));
    used(&mut cluster, 0, &[(1, 0), (2, 0)]);
    let refused = room(&cluster, 8, Asker::Request).unwrap_err();
    assert_eq!(
        refused.held_by,
        [ModelId("model 1".to_owned()), ModelId("model 2".to_owned())]
    );
    assert!(refused.failure().hint.unwrap().contains("model 2"));
    // Nothing that could be closed would help.
    let refused = room(&cluster, 32, Asker::Request).unwrap_err();
    assert_eq!(refused.held_by, []);
}

#[test]
fn one_that_would_not_help_is_spared() {
    let mut cluster = Cluster::lending(&[64], Some(20 * GB));
    open(&mut cluster, 0, on_demand(1, 2));
    open(&mut cluster, 0, on_demand(2, 14));
    used(&mut cluster, 0, &[(1, 10), (2, 20)]);
    assert_eq!(room(&cluster, 12, Asker::Request), Ok(vec![2]));
}

#[test]
fn what_a_user_opened_goes_last_and_only_for_a_request() {
    let mut cluster = Cluster::lending(&[64], Some(20 * GB));
    open(
        &mut cluster,
        0,
        Open {
            on_demand: false,
            ..on_demand(1, 8)
        },
    );
    open(&mut cluster, 0, on_demand(2, 8));
    used(&mut cluster, 0, &[(1, 10), (2, 20)]);
    assert_eq!(room(&cluster, 8, Asker::Request), Ok(vec![2]));
    assert_eq!(room(&cluster, 8, Asker::User), Ok(vec![2]));
    assert_eq!(room(&cluster, 16, Asker::Request), Ok(vec![2, 1]));
    let refused = room(&cluster, 16, Asker::User).unwrap_err();
    assert_eq!(refused.held_by, [ModelId("model 1".to_owned())]);
}

#[test]
fn memory_of_other_nodes_counts() {
    let mut cluster = Cluster::lending(&[32, 32], Some(12 * GB));
    open(&mut cluster, 0, on_demand(1, 8));
    open(&mut cluster, 1, on_demand(2, 8));
    used(&mut cluster, 0, &[(1, 0)]);
    used(&mut cluster, 1, &[(2, 10)]);
    assert_eq!(cluster.view(0, InstanceId(2)).shards[0].node, node_id(1));
    assert_eq!(room(&cluster, 9, Asker::Request), Ok(vec![2]));
}

#[test]
fn a_second_copy_goes_where_there_is_none() {
    let mut cluster = Cluster::new(&[64, 32, 32]);
    let mut nodes = Vec::new();
    for id in 1..=4 {
        let Open { layers, .. } = on_demand(id, 4);
        let copy = OpenInstance {
            id: InstanceId(id),
            model: ModelId("copied".to_owned()),
            folder: "/m".to_owned(),
            fingerprint: Fingerprint([1; 32]),
            origin: None,
            card: card(layers, GB),
            sharding: ShardingChoice::Auto,
            node_count: None,
            node_ids: Vec::new(),
            secret: Secret([1; 32]),
            on_demand: false,
            draft: None,
        };
        cluster.tell(0, Event::Open(Box::new(copy)));
        cluster.run();
        nodes.push(cluster.view(0, InstanceId(id)).shards[0].node.0[0]);
    }
    // The fourth has no node for itself.
    assert_eq!(nodes, [0, 1, 2, 0]);
}
