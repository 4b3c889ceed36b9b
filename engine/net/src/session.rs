//! Sessions with peers: TCP, TLS, proof of membership, and only then HTTP/2 with one control stream and any number
//! of generations. A session runs one way: the node that called sends records and asks for generations; the node
//! that was called answers. A pair of nodes has one each way.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use base::NodeId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::discovery::Announcement;
use crate::home::Home;
use crate::hub::HubMessage;
use crate::proof::ProofError;
use crate::tls::Tls;
use crate::{ClusterKey, PeerHandler, Roster};

pub(crate) mod bulk;
pub(crate) mod call;
pub(crate) mod files;
pub(crate) mod frames;
pub(crate) mod generation;
pub(crate) mod greeting;
pub(crate) mod handshake;
pub(crate) mod heartbeat;
pub(crate) mod http;
pub(crate) mod inbound;
mod introduce;
pub(crate) mod keep;
mod lending;
pub(crate) mod listen;
pub(crate) mod outbound;
pub(crate) mod pairing;
mod probe;

/// What every session of this node shares.
pub(crate) struct Context {
    /// How this node announces itself.
    pub(crate) own: Announcement,
    /// Where this node listens, told to peers so that they can call back.
    pub(crate) port: u16,
    pub(crate) key: Option<ClusterKey>,
    /// Written by the hub alone.
    roster: RwLock<Option<Arc<Roster>>>,
    pub(crate) tls: Tls,
    pub(crate) handler: Arc<dyn PeerHandler>,
    pub(crate) hub: mpsc::Sender<HubMessage>,
    /// Cancelled when this node begins to say goodbye: nobody is called or let in any more.
    pub(crate) leaving: CancellationToken,
    /// Cancelled at the very end: every session ends.
    pub(crate) stop: CancellationToken,
    admission: Mutex<Admission>,
    called: Mutex<HashSet<NodeId>>,
    lending: lending::Places,
}

/// Tells one session from every other of this node's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) u64);

/// Which side called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// This node did.
    Outbound,
    /// The peer did.
    Inbound,
}

/// How a session's other end proved that it belongs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProvenBy {
    /// By the cluster key.
    Key,
    /// By the roster; for as long as it is in it.
    Roster,
}

/// The right to have the one outbound session to a node. Given back on drop.
pub(crate) struct Claim {
    context: Arc<Context>,
    node: NodeId,
}

impl Context {
    /// What a node that announces itself as `own` shares among its sessions.
    pub(crate) fn new(
        own: Announcement,
        port: u16,
        key: Option<ClusterKey>,
        tls: Tls,
        handler: Arc<dyn PeerHandler>,
        hub: mpsc::Sender<HubMessage>,
    ) -> Self {
        let stop = CancellationToken::new();
        Self {
            own,
            port,
            key,
            roster: RwLock::default(),
            tls,
            handler,
            hub,
            leaving: stop.child_token(),
            stop,
            admission: Mutex::default(),
            called: Mutex::default(),
            lending: lending::Places::default(),
        }
    }

    /// Who belongs to the cluster of this node, if it is in one and that is not decided by a key.
    pub(crate) fn roster(&self) -> Option<Arc<Roster>> {
        let roster = self.roster.read();
        roster.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the roster. The hub's to call.
    pub(crate) fn set_roster(&self, roster: Option<Roster>) {
        let mut known = self.roster.write().unwrap_or_else(PoisonError::into_inner);
        *known = roster.map(Arc::new);
    }

    /// What this node belongs to.
    pub(crate) fn home(&self) -> Home {
        match (&self.key, self.roster()) {
            (Some(_), _) => Home::Key,
            (None, Some(roster)) => Home::Roster(roster.cluster()),
            (None, None) => Home::None,
        }
    }

    /// How this node announces itself now.
    pub(crate) fn announcement(&self) -> Announcement {
        Announcement {
            home: self.home(),
            ..self.own.clone()
        }
    }

    /// Whether this node and `node` are members of the same cluster by this node's roster.
    pub(crate) fn are_members(&self, node: NodeId) -> Result<(), ProofError> {
        let roster = self.roster().ok_or(ProofError::NewcomerHere)?;
        if !roster.is_member(self.own.node) {
            return Err(ProofError::NotMemberHere);
        }
        if !roster.is_member(node) {
            return Err(ProofError::NotMemberThere);
        }
        Ok(())
    }

    /// Whether this node could prove itself to a node that says that it belongs to `home`; if not, why not.
    pub(crate) fn can_call(&self, home: Home) -> Result<(), ProofError> {
        match (self.home(), home) {
            // What the other one has is seen when it is called.
            (Home::Key, _) => Ok(()),
            (Home::Roster(own), Home::Roster(other)) if own == other => Ok(()),
            (Home::Roster(_), Home::Roster(_) | Home::Key) => Err(ProofError::OtherCluster),
            (Home::Roster(_), Home::None) => Err(ProofError::NewcomerThere),
            (Home::None, Home::Key) => Err(ProofError::NoKeyHere),
            (Home::None, Home::None | Home::Roster(_)) => Err(ProofError::NewcomerHere),
        }
    }

    /// Whether there is an outbound session to `node`, or one in the making.
    pub(crate) fn is_called(&self, node: NodeId) -> bool {
        lock(&self.called).contains(&node)
    }

    /// Takes the one outbound session to `node`, if nobody has it.
    pub(crate) fn claim(self: &Arc<Self>, node: NodeId) -> Option<Claim> {
        let free = lock(&self.called).insert(node);
        free.then(|| Claim {
            context: self.clone(),
            node,
        })
    }

    pub(crate) fn may_try(&self, node: NodeId, address: IpAddr) -> bool {
        lock(&self.admission).may_try(node, address, Instant::now())
    }

    /// Someone at `address` showed a wrong key, or was given what tells a wrong from a right one.
    pub(crate) fn guess_possible(&self, address: IpAddr) {
        lock(&self.admission).wrong_key(address, Instant::now());
    }

    /// Takes one [`Context::guess_possible`] back.
    pub(crate) fn no_guess_after_all(&self, address: IpAddr) {
        lock(&self.admission).forgive(address);
    }

    /// `node` proved that it knows the key.
    pub(crate) fn proven(&self, node: NodeId) {
        lock(&self.admission).proven(node);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.context.called).remove(&self.node);
    }
}

/// The tables behind these locks are whole between any two statements, so a panic elsewhere does not spoil them.
fn lock<T>(table: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
