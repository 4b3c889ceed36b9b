//! What `node` decides about the network once, at start. Plain data; nothing here is read from the environment.

use std::fmt;
use std::net::SocketAddr;

use thiserror::Error;

use crate::discovery::memory::Neighbourhood;
use crate::home::Home;
use crate::{Identity, Roster};

/// Everything [`start`](crate::start) needs to know.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// This node's key pair.
    pub identity: Identity,
    /// The name people gave this node. Shown to the whole network by discovery.
    pub name: String,
    /// The cluster's name. Shown to the whole network by discovery; only the key decides who belongs to it.
    pub cluster_name: String,
    /// What members prove to each other, where membership is a shared key: for racks. The roster is not used then.
    pub cluster_key: Option<ClusterKey>,
    /// Who belongs to this node's cluster, as last told by [`NetEvent::RosterChanged`](crate::NetEvent::RosterChanged).
    /// Without it, and without a key, this node is a newcomer: it sees others, is locked out, and can be paired.
    pub roster: Option<Roster>,
    /// Where peers reach this node; port 0 lets the system choose (see [`NetHandle::address`](crate::NetHandle::address)).
    pub listen: SocketAddr,
    /// How other nodes are found.
    pub discovery: Discovery,
    /// Nodes to call besides those that are found, each `HOST:PORT`.
    pub peers: Vec<String>,
}

impl NetConfig {
    /// What this node belongs to as it starts.
    pub(crate) fn home(&self) -> Home {
        let roster = self.roster.as_ref();
        let member = roster.filter(|roster| roster.is_member(self.identity.node_id()));
        match (&self.cluster_key, member) {
            (Some(_), _) => Home::Key,
            (None, Some(roster)) => Home::Roster(roster.cluster()),
            (None, None) => Home::None,
        }
    }
}

/// How other nodes are found.
#[derive(Debug, Clone)]
pub enum Discovery {
    /// By mDNS on every interface that can multicast.
    All,
    /// By mDNS on the loopback interface alone: several nodes on one machine, invisible to the network.
    Loopback,
    /// Not at all: only [`NetConfig::peers`] are called.
    Off,
    /// Within this process, for tests.
    Memory(Neighbourhood),
}

/// The shared secret of a cluster. Never sent, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey(String);

/// A text that cannot be a cluster key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClusterKeyError {
    /// Nothing but white space.
    #[error(
        "the cluster key is empty (hint: give the same words to every node, for example four random ones)"
    )]
    Empty,
    /// More than [`ClusterKey::BYTES_MAX`].
    #[error(
        "the cluster key is longer than {} bytes (hint: use a shorter one on every node)",
        ClusterKey::BYTES_MAX
    )]
    TooLong,
}

impl ClusterKey {
    /// Longest key in bytes: room for any passphrase, and a cap for what a settings file may hold.
    pub const BYTES_MAX: usize = 256;

    /// A key from what a person typed; white space around it is not part of it.
    pub fn new(text: &str) -> Result<Self, ClusterKeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ClusterKeyError::Empty);
        }
        if text.len() > Self::BYTES_MAX {
            return Err(ClusterKeyError::TooLong);
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether guessing it over the network is thinkable: shorter than eight bytes.
    pub fn is_weak(&self) -> bool {
        self.0.len() < 8
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}
