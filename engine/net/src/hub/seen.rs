//! The hub's part in who is seen: what discovery, given addresses and failed calls say, as people are shown it, and who
//! is called because of it.

use base::NodeId;

use super::{Hub, sightings};
use crate::discovery::Announcement;
use crate::home::Home;
use crate::limits::CALL_BACKS_MAX;
use crate::proof::{self, ProofError};
use crate::session::call::{CallError, Target};
use crate::session::greeting::Greeting;
use crate::{Belonging, NetEvent, Sighting};

impl Hub {
    /// An address from the settings.
    pub(super) async fn give(&mut self, host: String) {
        let target = Target::Given(host.clone());
        let sighting = Sighting {
            node: None,
            name: host.clone(),
            cluster_name: String::new(),
            address: host,
            belongs: Belonging::Unknown,
            locked: self.own_lock(),
        };
        self.see(&target, sighting).await;
        self.calls.to(target, Vec::new());
    }

    pub(super) async fn found(&mut self, found: Announcement) {
        if found.node == self.context.own.node || found.addresses.is_empty() {
            return;
        }
        self.departing.remove(&found.node);
        let target = Target::Node(found.node);
        let callable = if found.protocol == proof::VERSION {
            self.context.can_call(found.home)
        } else {
            Err(ProofError::OtherVersion)
        };
        let linked = self.links.is_up(found.node);
        let moved = self
            .found
            .get(&found.node)
            .is_some_and(|last| last.home != found.home);
        let locked = match callable {
            _ if linked => None,
            Err(error) => Some(error.to_string()),
            // What it said when it belonged elsewhere is no longer so.
            Ok(()) => self.sightings.lock_of(&target).filter(|_| !moved),
        };
        let sighting = Sighting {
            node: Some(found.node),
            name: found.name.clone(),
            cluster_name: found.cluster_name.clone(),
            address: found.addresses[0].to_string(),
            belongs: self.belonging(Some(found.node), Some(found.home)),
            locked,
        };
        if !self.see(&target, sighting).await {
            return;
        }
        self.found.insert(found.node, found.clone());
        match callable {
            Ok(()) => self.calls.to(target, found.addresses),
            // It says itself that it is elsewhere now.
            Err(_) if !linked => self.calls.forget(&target),
            Err(_) => {}
        }
    }

    pub(super) async fn lost(&mut self, node: NodeId) {
        // While there is a session with it, it is there, whatever discovery says.
        if self.links.knows(node) {
            self.departing.insert(node);
            return;
        }
        let target = Target::Node(node);
        self.calls.forget(&target);
        self.unsee(&target).await;
    }

    pub(super) async fn call_failed(&mut self, target: Target, error: &CallError) {
        let reason = error.to_string();
        let covered = matches!(error, CallError::Covered(_));
        match (&target, error.answered()) {
            (Target::Given(host), Some(node)) => {
                self.unsee(&target).await;
                if !covered {
                    let greeting = error.greeting().cloned();
                    self.show_locked(Some(node), greeting, host, reason).await;
                }
            }
            (Target::Given(host), None) => self.show_locked(None, None, host, reason).await,
            (Target::Node(_), _) if covered => {}
            (Target::Node(_), _) => {
                self.lock(&target, reason).await;
                let failures = self.calls.failed(&target);
                if failures >= CALL_BACKS_MAX && !self.calls.is_announced(&target) {
                    self.calls.forget(&target);
                    self.unsee(&target).await;
                }
            }
        }
    }

    /// Shows why whoever is at an address from the settings is not linked.
    pub(super) async fn show_locked(
        &mut self,
        node: Option<NodeId>,
        greeting: Option<Greeting>,
        host: &str,
        reason: String,
    ) {
        let target = node.map_or_else(|| Target::Given(host.to_owned()), Target::Node);
        let known = self.sightings.get(&target);
        let home = greeting.as_ref().map(|greeting| greeting.home);
        let (name, cluster_name) = match (greeting, known) {
            (Some(greeting), _) => (greeting.name, greeting.cluster_name),
            (None, Some(known)) => (known.name.clone(), known.cluster_name.clone()),
            (None, None) => (host.to_owned(), String::new()),
        };
        let address = known.map_or_else(|| host.to_owned(), |known| known.address.clone());
        let sighting = Sighting {
            node,
            name,
            cluster_name,
            address,
            belongs: self.belonging(node, home),
            locked: Some(reason),
        };
        self.see(&target, sighting).await;
    }

    /// Why nobody can be linked, if the reason is here.
    pub(super) fn own_lock(&self) -> Option<String> {
        let newcomer = self.context.home() == Home::None;
        newcomer.then(|| ProofError::NewcomerHere.to_string())
    }

    /// Shows a sighting if it is news; whether it is shown at all.
    pub(super) async fn see(&mut self, target: &Target, sighting: Sighting) -> bool {
        match self.sightings.see(target, sighting) {
            Ok(Some(news)) => {
                self.emit(NetEvent::Seen(news)).await;
                true
            }
            Ok(None) => true,
            Err(sightings::Full) => false,
        }
    }

    pub(super) async fn lock(&mut self, target: &Target, reason: String) {
        if let Some(news) = self.sightings.lock(target, reason) {
            self.emit(NetEvent::Seen(news)).await;
        }
    }

    pub(super) async fn unsee(&mut self, target: &Target) {
        if let Target::Node(node) = target {
            self.found.remove(node);
        }
        if let Some(last) = self.sightings.remove(target) {
            self.emit(NetEvent::Unseen(last)).await;
        }
    }
}
