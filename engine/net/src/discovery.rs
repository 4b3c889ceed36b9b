//! Who else is there. What it says is a hint from anyone on the network: who a node really is and whether it
//! belongs here is proven in `session`.

use std::net::SocketAddr;

use base::NodeId;

use crate::home::Home;

pub(crate) mod mdns;
pub mod memory;

/// A node as it announces itself. From outside: the names are cleaned, the addresses few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) node: NodeId,
    pub(crate) name: String,
    pub(crate) cluster_name: String,
    /// What it says it belongs to.
    pub(crate) home: Home,
    /// Which version of the peer protocol it speaks.
    pub(crate) protocol: u8,
    /// Where it listens.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// What discovery tells the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DiscoveryEvent {
    /// A node is there, or announces itself differently.
    Found(Announcement),
    /// A node said goodbye or was not heard of for long.
    Lost(NodeId),
}

/// The running discovery of this node; it ends when dropped.
#[derive(Default)]
pub(crate) enum Discovering {
    /// Nobody is looked for.
    #[default]
    Off,
    /// By multicast DNS.
    Mdns(mdns::Mdns),
    /// Within this process.
    Memory(memory::Membership),
}

impl Discovering {
    /// Tells the others how this node announces itself from now on.
    pub(crate) fn announce(&self, own: &Announcement) {
        match self {
            Self::Off => {}
            Self::Memory(membership) => membership.announce(own),
            Self::Mdns(mdns) => mdns.announce(own),
        }
    }

    /// Tells the others that this node goes, and ends.
    pub(crate) async fn goodbye(self) {
        match self {
            Self::Off => {}
            // Dropping it is its goodbye.
            Self::Memory(membership) => drop(membership),
            Self::Mdns(mdns) => mdns.goodbye().await,
        }
    }
}
