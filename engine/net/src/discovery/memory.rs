//! Discovery within one process: nodes given the same [`Neighbourhood`] see each other at once. For tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::NodeId;
use tokio::sync::mpsc;

use super::{Announcement, DiscoveryEvent};
use crate::hub::HubMessage;

/// A place where nodes see each other. Clones are the same place.
#[derive(Clone, Default)]
pub struct Neighbourhood {
    nodes: Arc<Mutex<HashMap<NodeId, Neighbour>>>,
}

struct Neighbour {
    announcement: Announcement,
    hub: mpsc::Sender<HubMessage>,
}

/// A node's place in a [`Neighbourhood`]; the others lose sight of it when this is dropped.
pub(crate) struct Membership {
    neighbourhood: Neighbourhood,
    node: NodeId,
}

impl Neighbourhood {
    /// A place with nobody in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows the node that `announcement` is of to all others, and them to its hub.
    pub(crate) fn join(
        &self,
        announcement: Announcement,
        hub: mpsc::Sender<HubMessage>,
    ) -> Membership {
        let node = announcement.node;
        let mut nodes = self.lock();
        for other in nodes.values() {
            tell(&other.hub, DiscoveryEvent::Found(announcement.clone()));
            tell(&hub, DiscoveryEvent::Found(other.announcement.clone()));
        }
        nodes.insert(node, Neighbour { announcement, hub });
        Membership {
            neighbourhood: self.clone(),
            node,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Neighbour>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Membership {
    /// Shows the others what has changed about this node.
    pub(crate) fn announce(&self, announcement: &Announcement) {
        let mut nodes = self.neighbourhood.lock();
        if let Some(own) = nodes.get_mut(&self.node) {
            own.announcement = announcement.clone();
        }
        for (_, other) in nodes.iter().filter(|(node, _)| **node != self.node) {
            tell(&other.hub, DiscoveryEvent::Found(announcement.clone()));
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut nodes = self.neighbourhood.lock();
        nodes.remove(&self.node);
        for other in nodes.values() {
            tell(&other.hub, DiscoveryEvent::Lost(self.node));
        }
    }
}

impl std::fmt::Debug for Neighbourhood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Neighbourhood")
    }
}

/// A hub with no room does not hear of it, as a packet can be lost on a real network.
fn tell(hub: &mpsc::Sender<HubMessage>, event: DiscoveryEvent) {
    let _ = hub.try_send(HubMessage::Discovered(event));
}
