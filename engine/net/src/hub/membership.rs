//! The hub's part in the roster: the only place that changes it, tells `node` and the members, and ends the sessions of
//! whoever is no longer in it.

use base::NodeId;
use bytes::Bytes;
use futures::future::join_all;
use tokio::time::timeout;

use super::Hub;
use crate::home::Home;
use crate::limits::LEAVE_TIMEOUT;
use crate::proof::ProofError;
use crate::session::ProvenBy;
use crate::session::call::Target;
use crate::session::outbound::{Outbound, tell};
use crate::{Belonging, NetEvent, Roster, RosterChange, RosterError};

impl Hub {
    /// Says so if the roster that this node was started with does not have it.
    pub(super) async fn begin(&mut self, roster: Option<Roster>) {
        if let (Some(roster), Home::None) = (roster, self.context.home()) {
            self.removed(&roster).await;
        }
    }

    /// Takes in a roster that `from` has sent or shown; whether both nodes are members by it.
    pub(super) async fn heard(&mut self, from: NodeId, theirs: &Roster) -> Result<(), ProofError> {
        let known = self.context.roster().ok_or(ProofError::NewcomerHere)?;
        let mut roster = (*known).clone();
        match roster.hear(theirs, from) {
            Ok(true) => self.adopt(roster).await,
            Ok(false) => {}
            Err(RosterError::OtherCluster) => return Err(ProofError::OtherCluster),
            Err(error) => {
                tracing::debug!(node = %from.short(), %error, "its roster is not listened to");
            }
        }
        match self.context.are_members(from) {
            // By what has just been heard.
            Err(ProofError::NewcomerHere) => Err(ProofError::NotMemberHere),
            members => members,
        }
    }

    /// Makes `roster` this node's, and lets everybody know whom it concerns.
    pub(super) async fn adopt(&mut self, roster: Roster) {
        if !roster.is_member(self.own()) {
            self.removed(&roster).await;
            return;
        }
        let moved = self.context.home() != Home::Roster(roster.cluster());
        let bytes = Bytes::from(roster.to_bytes());
        self.context.set_roster(Some(roster.clone()));
        self.emit(NetEvent::RosterChanged(RosterChange::Member(roster)))
            .await;
        self.end_strangers().await;
        if moved {
            self.discovering.announce(&self.context.announcement());
        }
        for link in self.links_by_roster() {
            // A link that breaks meanwhile is told on its next beginning.
            tokio::spawn(tell(link, bytes.clone()));
        }
        self.look_again().await;
    }

    /// Tells a node whose link has just come up whom this one counts as members.
    pub(super) fn tell_roster(&self, link: &Outbound) {
        if let Some(roster) = self.context.roster() {
            tokio::spawn(tell(link.clone(), roster.to_bytes().into()));
        }
    }

    pub(super) async fn remove_member(&mut self, node: NodeId) -> Result<(), RosterError> {
        let mut roster = self.signed()?;
        roster.remove(&self.identity, node)?;
        if node == self.own() {
            self.leave_as(roster).await;
        } else {
            self.adopt(roster).await;
        }
        Ok(())
    }

    /// Tells the members that this node is none any more, and forgets them.
    async fn leave_as(&mut self, roster: Roster) {
        let bytes = Bytes::from(roster.to_bytes());
        let telling = self.links_by_roster().into_iter();
        let telling = join_all(telling.map(|link| tell(link, bytes.clone())));
        // Whoever does not hear of it keeps a member that says itself that it is none.
        let _ = timeout(LEAVE_TIMEOUT, telling).await;
        self.forget_cluster(RosterChange::Left).await;
    }

    /// The roster, with what was signed for a pairing that is not over: a member's statements make one chain.
    fn signed(&mut self) -> Result<Roster, RosterError> {
        let known = self.context.roster().ok_or(RosterError::NotMember)?;
        let mut roster = (*known).clone();
        if let Some(signed) = self.signed_for_pairing.take() {
            roster.merge(&signed)?;
        }
        Ok(roster)
    }

    /// This node is not, or no longer, in `roster`.
    async fn removed(&mut self, roster: &Roster) {
        let by = roster.removed_by(self.own());
        let by = by.and_then(|by| roster.name_of(by));
        self.forget_cluster(RosterChange::Removed { by }).await;
    }

    async fn forget_cluster(&mut self, change: RosterChange) {
        self.context.set_roster(None);
        self.signed_for_pairing = None;
        self.emit(NetEvent::RosterChanged(change)).await;
        self.end_strangers().await;
        self.discovering.announce(&self.context.announcement());
        self.calls.forget_nodes();
        self.look_again().await;
    }

    /// Ends the sessions of all that proved themselves by a roster that they are not in.
    async fn end_strangers(&mut self) {
        let strangers: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.by == ProvenBy::Roster)
            .filter(|(_, session)| self.context.are_members(session.node).is_err())
            .map(|(id, session)| (*id, session.node))
            .collect();
        for (id, node) in strangers {
            if let Some(session) = self.sessions.get(&id) {
                session.stop.cancel();
            }
            // At once, not when the session's task gets to it.
            let changes = self.links.ended(node, id);
            self.carry_out(changes).await;
        }
    }

    /// Looks at everyone seen in the light of a new roster.
    async fn look_again(&mut self) {
        let found: Vec<_> = self.found.values().cloned().collect();
        for announcement in found {
            self.found(announcement).await;
        }
        for (target, mut sighting) in self.sightings.all() {
            let Target::Node(node) = target else {
                continue;
            };
            if !self.found.contains_key(&node) {
                sighting.belongs = self.belonging(Some(node), None);
                self.see(&target, sighting).await;
            }
        }
        self.calls.wake();
    }

    /// What a node that says that it belongs to `home` is to this one.
    pub(super) fn belonging(&self, node: Option<NodeId>, home: Option<Home>) -> Belonging {
        let ours = |node| self.context.are_members(node).is_ok() || self.links.knows(node);
        match (self.context.home(), home) {
            (_, Some(Home::None)) => Belonging::Newcomer,
            (own, Some(other)) if own != other => Belonging::Elsewhere,
            _ if node.is_some_and(ours) => Belonging::Ours,
            _ => Belonging::Unknown,
        }
    }

    pub(super) fn own(&self) -> NodeId {
        self.context.own.node
    }

    fn links_by_roster(&self) -> Vec<Outbound> {
        let by_roster = |node: &NodeId| self.context.are_members(*node).is_ok();
        self.registry_mut(|links| {
            let links = links.iter().filter(|(node, _)| by_roster(node));
            links.map(|(_, link)| link.clone()).collect()
        })
    }
}
