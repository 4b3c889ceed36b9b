//! What the network tells `node`, and what it asks of it.

use std::net::IpAddr;

use crate::{Digits, Generate, PairingEnd, PeerFrame, Roster};
use base::{BytesAsked, Failure, HeldFiles, HubRevision, NodeId, TokenEvent};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

/// Something that happened on the network. For one node the order is `LinkUp`, its frames, `LinkDown`.
#[derive(Debug, Clone, PartialEq)]
pub enum NetEvent {
    /// A node was seen for the first time, or what is known of it changed.
    Seen(Sighting),
    /// A node said goodbye or has not been heard of for long; its last sighting.
    Unseen(Sighting),
    /// A node proved membership in both directions. Whatever it should know is sent to it now, whole.
    LinkUp {
        /// The node.
        node: NodeId,
        /// Its name.
        name: String,
        /// This node's address on the way to it.
        local_ip: IpAddr,
        /// Its address on the way from here.
        remote_ip: IpAddr,
    },
    /// The node is gone or does not answer. If it comes back there is a new `LinkUp`.
    LinkDown {
        /// The node.
        node: NodeId,
    },
    /// A linked node sent a frame. Pings, pongs and leaving are dealt with before and never seen here.
    Frame {
        /// The sender.
        from: NodeId,
        /// What it sent.
        frame: PeerFrame,
    },
    /// Who belongs to this node's cluster has changed. To be kept, and given to the next start.
    RosterChanged(RosterChange),
    /// A pairing has begun, gone on, or ended. There is one at a time.
    Pairing(PairingView),
    /// A heartbeat came back.
    LinkMeasured {
        /// The node at the other end.
        node: NodeId,
        /// There and back, microseconds.
        round_trip_us: u64,
    },
    /// How much a link carries was measured, once for each time that it is up.
    LinkBandwidth {
        /// The node at the other end.
        node: NodeId,
        /// From here to there.
        bytes_per_s: u64,
    },
}

/// A node that can be seen, whether or not it lets us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Who it is; unknown for an address that was given and has not answered yet. Unproven until `LinkUp`.
    pub node: Option<NodeId>,
    /// Its name, or the address that was given. Outside input: cleaned and at most 64 bytes.
    pub name: String,
    /// The name of its cluster; empty if unknown. Outside input: cleaned and at most 64 bytes.
    pub cluster_name: String,
    /// Where it is, `HOST:PORT`.
    pub address: String,
    /// What it is to this node. By its own word, unless it is [`Belonging::Ours`].
    pub belongs: Belonging,
    /// Why it is not linked, if that is known; a short phrase without a final stop.
    pub locked: Option<String>,
}

/// What a node that is seen is to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belonging {
    /// It has not said yet; or it says that it is of the same cluster, or of one with a key like this node's, and has not
    /// proven it yet.
    Unknown,
    /// It is in no cluster and waits to be paired.
    Newcomer,
    /// It is a member of this node's cluster.
    Ours,
    /// It belongs to another cluster.
    Elsewhere,
}

/// What has become of this node's membership by roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterChange {
    /// It is a member, of the cluster that this is the roster of.
    Member(Roster),
    /// It was removed, and is a newcomer again.
    Removed {
        /// By whom, if the roster says so: that member's name.
        by: Option<String>,
    },
    /// It left, and is a newcomer again.
    Left,
}

/// A pairing as people are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingView {
    /// With whom.
    pub node: NodeId,
    /// What it is called. Outside input: cleaned and at most 64 bytes.
    pub name: String,
    /// Whether it was started on this computer; otherwise the other one asks.
    pub started_here: bool,
    /// How far it is.
    pub stage: PairingStage,
}

/// How far a pairing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingStage {
    /// The other one is being called.
    Calling,
    /// Both computers show digits, and people compare them.
    Compare {
        /// The digits here.
        digits: Digits,
        /// Whether the person here has confirmed.
        confirmed_here: bool,
        /// Whether the other one has.
        confirmed_there: bool,
    },
    /// Both are in the same cluster now.
    Done,
    /// It ended without that.
    Ended(PairingEnd),
}

/// What `node` does for its peers. Called only for members that have proven themselves.
pub trait PeerHandler: Send + Sync + 'static {
    /// Runs a generation here. The stream's last event is `Finished` or `Failed`; one that ends without them is
    /// broken (its worker is gone) and may be asked for again. Dropping the stream cancels the generation: that
    /// is what happens when the peer is gone or no longer interested. It is polled only as fast as the peer reads.
    fn generate(
        &self,
        from: NodeId,
        generate: Generate,
    ) -> BoxFuture<'static, Result<BoxStream<'static, TokenEvent>, Failure>>;

    /// What there is here of a repository; `None` if there is nothing.
    fn files(&self, from: NodeId, asked: HubRevision) -> BoxFuture<'static, Option<HeldFiles>>;

    /// Fetches a repository from the hub, as if somebody here had asked for it; returns when that is decided.
    fn download(
        &self,
        from: NodeId,
        wished: HubRevision,
    ) -> BoxFuture<'static, Result<(), Failure>>;

    /// Bytes of a file that is here or coming, in order, in pieces of at most 1 MiB; `None` if it is neither. A stream that
    /// ends before the last byte is broken, or the next byte has not come yet. It is polled only as fast as the peer reads.
    fn bytes(
        &self,
        from: NodeId,
        asked: BytesAsked,
    ) -> BoxFuture<'static, Option<BoxStream<'static, Bytes>>>;
}
