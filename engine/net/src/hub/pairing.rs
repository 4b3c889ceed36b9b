//! The hub's part in pairings: one at a time, who may ask, and the signature at the end.

use base::NodeId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Hub;
use crate::home::Home;
use crate::limits::CLICKS_QUEUE;
use crate::pairing::Role;
use crate::pairing::door::Door;
use crate::session::call::Target;
use crate::session::pairing::{Click, Outcome, start};
use crate::{NetEvent, PairingEnd, PairingStage, PairingView, Roster, RosterError};

/// The pairing that runs, and who has asked for one.
#[derive(Default)]
pub(super) struct Pairings {
    door: Door,
    running: Option<Running>,
}

struct Running {
    with: NodeId,
    /// The way to it; closed when it is over, however it ended.
    clicks: mpsc::Sender<Click>,
    /// Started here, and no digits are shown yet.
    is_calling: bool,
}

impl Pairings {
    fn running(&self) -> Option<&Running> {
        let running = self.running.as_ref();
        running.filter(|running| !running.clicks.is_closed())
    }

    fn begin(&mut self, with: NodeId, is_calling: bool) -> mpsc::Receiver<Click> {
        let (clicks, receiver) = mpsc::channel(CLICKS_QUEUE);
        self.running = Some(Running {
            with,
            clicks,
            is_calling,
        });
        receiver
    }
}

impl Hub {
    /// Starts a pairing with a node that is seen.
    pub(super) fn pair(&mut self, node: NodeId) -> Result<(), PairingEnd> {
        if self.context.key.is_some() {
            return Err(PairingEnd::KeyHere);
        }
        let target = Target::Node(node);
        let seen = self.sightings.get(&target).ok_or(PairingEnd::NotSeen)?;
        if self.pairings.running().is_some() {
            return Err(PairingEnd::BusyHere);
        }
        let place = match self.found.get(&node) {
            Some(found) => (target, found.addresses.clone()),
            None => (Target::Given(seen.address.clone()), Vec::new()),
        };
        let name = seen.name.clone();
        let clicks = self.pairings.begin(node, true);
        let pairing = Box::pin(start(self.context.clone(), node, name, place, clicks));
        let stop = self.context.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled(pairing).await });
        Ok(())
    }

    /// Whether `node` may pair with this one now, as the side that takes `starter`; what this side is then.
    pub(super) fn asked(
        &mut self,
        node: NodeId,
        starter: Role,
    ) -> Result<(Role, mpsc::Receiver<Click>), PairingEnd> {
        let role = self.context.home().household().asked_by(starter)?;
        // Two that start with each other at the same moment: the one with the smaller id is heard. What the other one has
        // started ends because its clicks do.
        let yields = |running: &Running| {
            running.is_calling && running.with == node && node < self.context.own.node
        };
        let busy = self.pairings.running().is_some_and(|one| !yields(one));
        self.pairings.door.knock(busy, Instant::now().into_std())?;
        Ok((role, self.pairings.begin(node, false)))
    }

    pub(super) fn click(&mut self, node: NodeId, click: Click) -> Result<(), PairingEnd> {
        let running = self.pairings.running.as_ref();
        let running = running
            .filter(|running| running.with == node)
            .ok_or(PairingEnd::NotPairing)?;
        match running.clicks.try_send(click) {
            // As many as fit in the queue have been heard.
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(PairingEnd::NotPairing),
        }
    }

    /// Signs `node` in, into this node's cluster or a new one. It counts from when the other side has the roster.
    pub(super) fn let_in(&mut self, node: NodeId, name: &str) -> Result<Roster, PairingEnd> {
        let mut roster = if let Some(roster) = self.context.roster() {
            (*roster).clone()
        } else {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|_| PairingEnd::NoRandomness)?;
            Roster::found(&self.identity, &self.context.own.name, salt)
        };
        match roster.add(&self.identity, node, name) {
            // It has lost its roster; it gets it again.
            Ok(()) | Err(RosterError::AlreadyMember) => {}
            Err(error) => return Err(error.into()),
        }
        self.signed_for_pairing = Some(roster.clone());
        Ok(roster)
    }

    pub(super) async fn show_pairing(&mut self, view: PairingView) {
        if let Some(running) = &mut self.pairings.running {
            running.is_calling &= view.stage == PairingStage::Calling;
        }
        self.emit(NetEvent::Pairing(view)).await;
    }

    pub(super) async fn pairing_over(&mut self, mut view: PairingView, outcome: Outcome) {
        let joined = match outcome {
            Outcome::LetIn(roster) => self.has_let_in(*roster).await,
            Outcome::Joined(roster) => self.join(*roster).await,
            Outcome::Ended(end) => Err(end),
        };
        match (self.pairings.running(), joined) {
            (None, _) => self.signed_for_pairing = None,
            // It has made way for one with the same node, which is what there is to see.
            (Some(next), Err(_)) if next.with == view.node => return,
            (Some(_), _) => {}
        }
        view.stage = match joined {
            Ok(()) => PairingStage::Done,
            Err(end) => PairingStage::Ended(end),
        };
        self.emit(NetEvent::Pairing(view)).await;
    }

    /// Takes up the roster that the other side of a pairing now has.
    async fn has_let_in(&mut self, signed: Roster) -> Result<(), PairingEnd> {
        let roster = match (self.context.roster(), &self.signed_for_pairing) {
            (Some(known), _) => {
                let mut roster = (*known).clone();
                roster.merge(&signed)?;
                roster
            }
            // A cluster of two, just founded.
            (None, Some(_)) => signed,
            // This node is out of the cluster that it has let the other one into.
            (None, None) => return Err(PairingEnd::Changed),
        };
        self.adopt(roster).await;
        Ok(())
    }

    /// Takes up the roster that this node was signed into.
    async fn join(&mut self, roster: Roster) -> Result<(), PairingEnd> {
        match self.context.home() {
            Home::None => {
                self.adopt(roster).await;
                Ok(())
            }
            // One pairing at a time, and no other way into a cluster: never seen.
            Home::Roster(_) | Home::Key => Err(PairingEnd::TwoClusters),
        }
    }
}
