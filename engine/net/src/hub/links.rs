//! Which sessions make a link: one each way, both proven. When either is gone, so is the other, and both sides
//! start afresh; that way the two nodes never disagree for long about what the other one has been told. Pure.

use std::collections::HashMap;

use base::NodeId;

use crate::limits::LINKS_MAX;
use crate::session::{Direction, SessionId};

/// What the hub must do, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// End this session.
    Close(SessionId),
    /// The link is up.
    Up(NodeId),
    /// The link is down.
    Down(NodeId),
    /// No session of this node is left.
    Forget(NodeId),
}

/// The sessions of every node that has any.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: HashMap<NodeId, Link>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Link {
    outbound: Option<SessionId>,
    inbound: Option<SessionId>,
}

impl Link {
    fn slot(&mut self, direction: Direction) -> &mut Option<SessionId> {
        match direction {
            Direction::Outbound => &mut self.outbound,
            Direction::Inbound => &mut self.inbound,
        }
    }

    fn is_up(self) -> bool {
        self.outbound.is_some() && self.inbound.is_some()
    }
}

impl Links {
    pub(crate) fn has_room_for(&self, node: NodeId) -> bool {
        self.links.len() < LINKS_MAX || self.links.contains_key(&node)
    }

    /// Whether there is any session with `node`.
    pub(crate) fn knows(&self, node: NodeId) -> bool {
        self.links.contains_key(&node)
    }

    pub(crate) fn is_up(&self, node: NodeId) -> bool {
        self.links.get(&node).is_some_and(|link| link.is_up())
    }

    /// Whether `id` is the session in which `node` sends now.
    pub(crate) fn is_inbound(&self, node: NodeId, id: SessionId) -> bool {
        self.links
            .get(&node)
            .is_some_and(|link| link.inbound == Some(id))
    }

    /// A session is proven. One that it replaces was dead without our noticing, and then so was the other.
    pub(crate) fn proven(
        &mut self,
        node: NodeId,
        direction: Direction,
        id: SessionId,
    ) -> Vec<Change> {
        let replaces = self
            .links
            .get(&node)
            .is_some_and(|link| link.clone().slot(direction).is_some());
        let mut changes = if replaces {
            self.reset(node)
        } else {
            Vec::new()
        };
        let link = self.links.entry(node).or_default();
        *link.slot(direction) = Some(id);
        if link.is_up() {
            changes.push(Change::Up(node));
        }
        changes
    }

    /// A session is over. Nothing changes if it had been replaced before.
    pub(crate) fn ended(&mut self, node: NodeId, id: SessionId) -> Vec<Change> {
        match self.links.get(&node) {
            Some(link) if link.outbound == Some(id) || link.inbound == Some(id) => self.reset(node),
            Some(_) | None => Vec::new(),
        }
    }

    fn reset(&mut self, node: NodeId) -> Vec<Change> {
        let Some(link) = self.links.remove(&node) else {
            return Vec::new();
        };
        let mut changes: Vec<_> = [link.outbound, link.inbound]
            .into_iter()
            .flatten()
            .map(Change::Close)
            .collect();
        if link.is_up() {
            changes.push(Change::Down(node));
        }
        changes.push(Change::Forget(node));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::Change::{Close, Down, Forget, Up};
    use super::Direction::{Inbound, Outbound};
    use super::*;

    const NODE: NodeId = NodeId([7; 32]);

    fn linked() -> Links {
        let mut links = Links::default();
        assert_eq!(links.proven(NODE, Inbound, SessionId(1)), []);
        assert_eq!(links.proven(NODE, Outbound, SessionId(2)), [Up(NODE)]);
        links
    }

    #[test]
    fn both_directions_make_a_link() {
        let links = linked();
        assert!(links.is_up(NODE));
        assert!(links.is_inbound(NODE, SessionId(1)) && !links.is_inbound(NODE, SessionId(2)));
    }

    #[test]
    fn either_end_takes_the_other_with_it() {
        for ended in [SessionId(1), SessionId(2)] {
            let mut links = linked();
            let changes = links.ended(NODE, ended);
            assert_eq!(
                changes,
                [
                    Close(SessionId(2)),
                    Close(SessionId(1)),
                    Down(NODE),
                    Forget(NODE)
                ]
            );
            assert!(!links.knows(NODE));
            assert_eq!(
                links.ended(NODE, SessionId(1)),
                [],
                "the end of what was closed is no news"
            );
        }
    }

    #[test]
    fn a_caller_that_calls_again_starts_afresh() {
        let mut links = linked();
        let changes = links.proven(NODE, Inbound, SessionId(3));
        assert_eq!(
            changes,
            [
                Close(SessionId(2)),
                Close(SessionId(1)),
                Down(NODE),
                Forget(NODE)
            ]
        );
        assert_eq!(links.ended(NODE, SessionId(2)), []);
        assert_eq!(links.proven(NODE, Outbound, SessionId(4)), [Up(NODE)]);
    }

    #[test]
    fn half_a_link_ends_without_news() {
        let mut links = Links::default();
        links.proven(NODE, Outbound, SessionId(1));
        assert_eq!(
            links.ended(NODE, SessionId(1)),
            [Close(SessionId(1)), Forget(NODE)]
        );
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut links = Links::default();
        for number in 0..LINKS_MAX {
            let node = NodeId([number as u8; 32]);
            assert!(links.has_room_for(node));
            links.proven(node, Inbound, SessionId(number as u64));
        }
        assert!(!links.has_room_for(NodeId([255; 32])));
        assert!(links.has_room_for(NodeId([0; 32])));
    }
}
