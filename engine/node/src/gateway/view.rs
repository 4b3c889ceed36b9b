//! The cluster's view in the words of the HTTP server, kept up to date.

use std::sync::Arc;

use cluster::{ClusterView, InstanceState, InstanceView, NodeState, NodeView};
use serve::view as served;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster_actor::ClusterHandle;

/// Follows the cluster as long as it lives.
#[derive(Debug)]
pub(super) struct Mirror {
    view: watch::Receiver<Arc<served::ClusterView>>,
    task: JoinHandle<()>,
}

impl Mirror {
    pub(super) fn start(cluster: &ClusterHandle) -> Self {
        let mut changes = cluster.changes();
        let first = translate(&changes.borrow_and_update());
        let (publish, view) = watch::channel(Arc::new(first));
        let task = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let next = translate(&changes.borrow_and_update());
                publish.send_if_modified(|shown| {
                    let differs = **shown != next;
                    if differs {
                        *shown = Arc::new(next);
                    }
                    differs
                });
            }
        });
        Self { view, task }
    }

    pub(super) fn changes(&self) -> watch::Receiver<Arc<served::ClusterView>> {
        self.view.clone()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn translate(view: &ClusterView) -> served::ClusterView {
    let links = view.links.iter().map(|link| served::LinkView {
        a: link.a,
        b: link.b,
        round_trip_us: link.round_trip_us,
        bandwidth_bytes_per_s: link.bandwidth_bytes_per_s,
        kind: link.kind,
    });
    served::ClusterView {
        node_id: view.node_id,
        nodes: view.nodes.iter().map(node).collect(),
        links: links.collect(),
        instances: view.instances.iter().map(instance).collect(),
    }
}

fn node(node: &NodeView) -> served::NodeView {
    served::NodeView {
        id: node.id,
        name: node.name.clone(),
        chip: node.chip.clone(),
        state: match &node.state {
            NodeState::Online => served::NodeState::Online,
            NodeState::Locked(why) => served::NodeState::Locked(why.clone()),
            NodeState::Lost => served::NodeState::Lost,
        },
        memory_total_bytes: node.memory_total_bytes,
        memory_available_bytes: node.memory_available_bytes,
        pressure: node.pressure,
    }
}

fn instance(instance: &InstanceView) -> served::InstanceView {
    let shards = instance.shards.iter().map(|shard| served::ShardView {
        node: shard.node,
        rank: shard.rank,
        layers: shard.layers.clone(),
        tensor: shard.tensor,
        bytes: shard.bytes,
        fetching_bytes: shard.fetch_progress(),
    });
    served::InstanceView {
        id: instance.id,
        model: instance.model.clone(),
        fingerprint: instance.fingerprint,
        quantize: instance.quantize,
        kv_bits: instance.kv_bits,
        draft: instance.draft.as_ref().map(|draft| draft.model.clone()),
        context_tokens: instance.context_tokens_max.min(instance.cache_tokens),
        owner: instance.owner,
        generation: instance.generation,
        sharding: instance.sharding,
        state: match instance.state {
            InstanceState::Placing => served::InstanceState::Placing,
            InstanceState::Downloading => served::InstanceState::Downloading,
            InstanceState::Loading => served::InstanceState::Loading,
            InstanceState::Ready => served::InstanceState::Ready,
            InstanceState::Mending => served::InstanceState::Mending,
            InstanceState::Failed => served::InstanceState::Failed,
        },
        failure: instance.failure.clone(),
        loading_bytes: instance.load_progress(),
        shards: shards.collect(),
        activity: instance.activity,
        on_demand: instance.on_demand,
        expires_unix_ms: instance.activity.and_then(|one| one.expires_ms),
    }
}
