//! What the tray shows, as one value made from what the node says. Pure.

use std::net::SocketAddr;

use base::{InstanceId, ModelId, NodeId};
use cluster::{ClusterView, InstanceState, NodeState};
use node::{Activity, Membership, Nearby, Switches};

/// Models on this disk that the menu offers to load; the window has them all.
const OFFERED_MAX: usize = 5;
/// Computers that the menu offers to approve; the window has them all.
const ASKING_MAX: usize = 3;

/// How things are, as far as the tray shows it.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line of the menu")]
pub struct Status {
    /// Why there is no node; everything else is empty then.
    pub trouble: Option<String>,
    /// What the last click could not do.
    pub problem: Option<String>,
    /// Whether the node is on its way.
    pub starting: bool,
    /// Whether this computer takes part in the network.
    pub joined: bool,
    /// Computers that ask to be let in.
    pub asking: Vec<Asking>,
    /// The computer that this one is being paired with.
    pub pairing_with: Option<String>,
    /// Computers in the cluster, this one counted.
    pub computers: usize,
    /// Whether all of them are Macs.
    pub all_macs: bool,
    /// Their memory together, in bytes.
    pub memory_bytes: u64,
    /// Models that are loaded or on their way.
    pub loaded: Vec<Loaded>,
    /// Models that could be loaded, those that ran last first.
    pub offered: Vec<ModelId>,
    /// Requests being answered by models that this computer drives.
    pub requests: u32,
    /// Their tokens per second together.
    pub tokens_per_s: f64,
    /// Where the API listens.
    pub api: Option<SocketAddr>,
    /// Whether the app starts with the computer; `None` where that can't be set.
    pub launch_at_login: Option<bool>,
    /// Whether this build can look for updates.
    pub updates: bool,
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

/// A computer that asks to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// Which.
    pub node: NodeId,
    /// What it calls itself.
    pub name: String,
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
    /// Who belongs to the cluster and who would like to.
    pub membership: &'a Membership,
    /// The models on its disk.
    pub models: &'a [ModelId],
    /// Those that ran last, newest first.
    pub recent: &'a [ModelId],
    /// See [`Status::problem`].
    pub problem: Option<&'a str>,
    /// See [`Status::launch_at_login`].
    pub launch_at_login: Option<bool>,
    /// See [`Status::updates`].
    pub updates: bool,
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
        let offered = newest_first(said.models, said.recent);
        let offered = offered.into_iter().filter(free).take(OFFERED_MAX);
        let asking = said.membership.asking().take(ASKING_MAX);
        Self {
            trouble: None,
            problem: said.problem.map(str::to_owned),
            starting: false,
            joined: said.switches.peers.is_some(),
            asking: asking.map(asking_of).collect(),
            pairing_with: said.membership.pairing_with().map(str::to_owned),
            computers: online.len(),
            all_macs: online.iter().all(|node| node.chip.starts_with("Apple")),
            memory_bytes: online.iter().map(|node| node.memory_total_bytes).sum(),
            offered: offered.cloned().collect(),
            requests: said.activity.iter().map(|activity| activity.running).sum(),
            tokens_per_s: said.activity.iter().map(|one| one.tokens_per_s).sum(),
            api: said.switches.api,
            launch_at_login: said.launch_at_login,
            updates: said.updates,
            loaded,
        }
    }
}

/// The models of the disk, those that ran last before the others.
fn newest_first<'a>(models: &'a [ModelId], recent: &[ModelId]) -> Vec<&'a ModelId> {
    let age = |model: &&ModelId| recent.iter().position(|other| other == *model);
    let mut models: Vec<&ModelId> = models.iter().collect();
    models.sort_by_key(|model| age(model).unwrap_or(recent.len()));
    models
}

fn asking_of((node, near): (NodeId, &Nearby)) -> Asking {
    Asking {
        node,
        name: near.name.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_last_is_offered_first() {
        let models = |names: &[&str]| -> Vec<ModelId> {
            names.iter().map(|name| ModelId((*name).into())).collect()
        };
        let disk = models(&["ash", "elm", "oak", "sprout"]);
        let recent = models(&["oak", "gone", "elm"]);
        let order: Vec<&str> = newest_first(&disk, &recent)
            .into_iter()
            .map(|model| model.0.as_str())
            .collect();
        assert_eq!(order, ["oak", "elm", "ash", "sprout"]);
    }
}
