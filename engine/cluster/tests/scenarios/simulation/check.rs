//! What must hold once there is peace.

use std::collections::BTreeSet;

use cluster::{ClusterView, InstanceState, NodeState, ShardKey};

use super::world::World;

/// Everybody sees the same, every instance runs or says why not, and nothing runs that nobody wants.
/// Gives the number of instances.
pub fn agreement(world: &mut World) -> usize {
    world.actions = 0;
    world.run_for(30_000);
    assert_eq!(world.actions, 0, "a cluster at peace still does things");
    let views: Vec<ClusterView> = world
        .nodes
        .iter()
        .map(|node| node.state.as_ref().unwrap().view())
        .collect();
    for view in &views {
        let online = |state: &NodeState| *state == NodeState::Online;
        assert!(
            view.nodes.iter().all(|node| online(&node.state)),
            "{view:#?}"
        );
        assert_eq!(view.nodes.len(), world.nodes.len());
        assert_eq!(view.instances, views[0].instances, "nodes disagree");
        assert_eq!(view.links.len(), views[0].links.len());
    }
    let mut wanted = BTreeSet::new();
    for instance in &views[0].instances {
        match instance.state {
            InstanceState::Ready => {
                for shard in &instance.shards {
                    wanted.insert((world.index(shard.node), instance.id, instance.generation));
                }
            }
            InstanceState::Placing | InstanceState::Mending | InstanceState::Failed => {
                assert!(instance.failure.is_some(), "stuck: {instance:#?}");
            }
            InstanceState::Loading | InstanceState::Downloading => panic!("stuck: {instance:#?}"),
        }
    }
    let key = |(node, key): &(usize, ShardKey)| (*node, key.instance, key.generation);
    let held: BTreeSet<_> = world.workers.held.keys().map(key).collect();
    assert_eq!(held.len(), world.workers.held.len());
    assert_eq!(
        world.workers.preparing.len(),
        0,
        "something is still fetched"
    );
    assert_eq!(held, wanted, "workers are missing or leaked");
    views[0].instances.len()
}
