//! What the tray shows, as one value made from what the node says. Pure.

use std::net::SocketAddr;

use base::{InstanceId, ModelId};
use cluster::{ClusterView, InstanceState, NodeState};
use node::{Activity, Switches};

/// Models on this disk that the menu offers to load; the window has them all.
const OFFERED_MAX: usize = 5;

/// How things are, as far as the tray shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// Why there is no node; everything else is empty then.
    pub trouble: Option<String>,
    /// What the last click could not do.
    pub problem: Option<String>,
    /// Whether the node is on its way.
    pub starting: bool,
    /// Whether this computer takes part in the network.
    pub joined: bool,
    /// Computers in the cluster, this one counted.
    pub computers: usize,
    /// Whether all of them are Macs.
    pub all_macs: bool,
    /// Their memory together, in bytes.
    pub memory_bytes: u64,
    /// Models that are loaded or on their way.
    pub loaded: Vec<Loaded>,
    /// Models that could be loaded.
    pub offered: Vec<ModelId>,
    /// Requests being answered by models that this computer drives.
    pub requests: u32,
    /// Their tokens per second together.
    pub tokens_per_s: f64,
    /// Where the API listens.
    pub api: Option<SocketAddr>,
    /// Whether the app starts with the computer; `None` where that can't be set.
    pub launch_at_login: Option<bool>,
}

/// A model on the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its instance.
    pub id: InstanceId,
    /// Its name.
    pub model: ModelId,
    /// How it is.
    pub state: InstanceState,
    /// Why it failed or waits.
    pub reason: Option<String>,
}

/// What the node says.
#[derive(Debug)]
pub struct Said<'a> {
    /// The cluster.
    pub view: &'a ClusterView,
    /// Its switches.
    pub switches: &'a Switches,
    /// What its workers do.
    pub activity: &'a [Activity],
    /// The models on its disk.
    pub models: &'a [ModelId],
    /// See [`Status::problem`].
    pub problem: Option<&'a str>,
    /// See [`Status::launch_at_login`].
    pub launch_at_login: Option<bool>,
}

impl Status {
    /// The node did not start.
    pub fn troubled(reason: &str) -> Self {
        Self {
            trouble: Some(reason.to_owned()),
            ..Self::default()
        }
    }

    /// The node is on its way.
    pub fn starting() -> Self {
        Self {
            starting: true,
            ..Self::default()
        }
    }

    /// The node runs.
    pub fn of(said: &Said<'_>) -> Self {
        let online = said.view.nodes.iter();
        let online: Vec<_> = online
            .filter(|node| node.state == NodeState::Online)
            .collect();
        let loaded: Vec<Loaded> = said.view.instances.iter().map(loaded).collect();
        let free = |model: &&ModelId| loaded.iter().all(|loaded| loaded.model != **model);
        let offered = said.models.iter().filter(free).take(OFFERED_MAX);
        Self {
            trouble: None,
            problem: said.problem.map(str::to_owned),
            starting: false,
            joined: said.switches.peers.is_some(),
            computers: online.len(),
            all_macs: online.iter().all(|node| node.chip.starts_with("Apple")),
            memory_bytes: online.iter().map(|node| node.memory_total_bytes).sum(),
            offered: offered.cloned().collect(),
            requests: said.activity.iter().map(|activity| activity.running).sum(),
            tokens_per_s: said.activity.iter().map(|one| one.tokens_per_s).sum(),
            api: said.switches.api,
            launch_at_login: said.launch_at_login,
            loaded,
        }
    }
}

fn loaded(instance: &cluster::InstanceView) -> Loaded {
    Loaded {
        id: instance.id,
        model: instance.model.clone(),
        state: instance.state,
        reason: instance.failure.as_ref().map(|why| why.message.clone()),
    }
}
