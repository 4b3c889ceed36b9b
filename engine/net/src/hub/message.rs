//! What reaches the hub: from discovery, from calls, from sessions, from the handle.

use std::net::IpAddr;

use base::NodeId;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::discovery::DiscoveryEvent;
use crate::pairing::Role;
use crate::proof::ProofError;
use crate::session::call::{CallError, Target};
use crate::session::outbound::Outbound;
use crate::session::pairing::{Click, Outcome};
use crate::session::{Direction, ProvenBy, SessionId};
use crate::{PairingEnd, PairingView, PeerFrame, Roster, RosterError};

/// What reaches the hub.
pub(crate) enum HubMessage {
    /// Discovery saw something.
    Discovered(DiscoveryEvent),
    /// A session's control stream is open.
    Proven(Proven),
    /// A session is over.
    Ended {
        /// With whom.
        node: NodeId,
        /// Which.
        id: SessionId,
    },
    /// A frame came in that is not about the session itself.
    Frame {
        /// From whom.
        node: NodeId,
        /// In which session.
        id: SessionId,
        /// What.
        frame: PeerFrame,
    },
    /// A ping came back.
    Measured {
        /// From whom.
        node: NodeId,
        /// There and back, microseconds.
        round_trip_us: u64,
    },
    /// What a session carries was measured.
    Carried {
        /// To whom.
        node: NodeId,
        /// From here to there.
        bytes_per_s: u64,
    },
    /// A call did not become a session. It will be tried again.
    CallFailed {
        /// Whom it was for.
        target: Target,
        /// Why.
        error: CallError,
    },
    /// A call reached this very node. It will not be tried again.
    Itself(Target),
    /// A caller was not let in.
    Refused {
        /// Who.
        node: NodeId,
        /// Why.
        refusal: ProofError,
    },
    /// A node showed its roster; answered with whether both are members by it.
    Heard {
        /// Who.
        from: NodeId,
        /// What it showed; every signature in it is right.
        roster: Roster,
        /// Where to answer.
        reply: oneshot::Sender<Result<(), ProofError>>,
    },
    /// A node asks for a pairing; answered with what this side is in it.
    Asked {
        /// Who.
        node: NodeId,
        /// What it is in it.
        starter: Role,
        /// Where to answer.
        reply: oneshot::Sender<Result<(Role, mpsc::Receiver<Click>), PairingEnd>>,
    },
    /// Both sides of a pairing have said yes; answered with the roster to hand over.
    LetIn {
        /// Whom.
        node: NodeId,
        /// Its name.
        name: String,
        /// Where to answer.
        reply: oneshot::Sender<Result<Roster, PairingEnd>>,
    },
    /// A pairing has gone on.
    Pairing(PairingView),
    /// A pairing is over.
    PairingOver {
        /// With whom.
        view: PairingView,
        /// How it ended.
        outcome: Outcome,
    },
    /// A person asks for something.
    Wish(Wish),
    /// This node is to say goodbye and stop; answered when that is done.
    Leave(oneshot::Sender<()>),
}

/// What a person asks for, and where to answer.
pub(crate) enum Wish {
    /// To pair with a node.
    Pair(NodeId, oneshot::Sender<Result<(), PairingEnd>>),
    /// To confirm or cancel the pairing with a node.
    Click(NodeId, Click, oneshot::Sender<Result<(), PairingEnd>>),
    /// To remove a node from the cluster; this node itself to leave it.
    Remove(NodeId, oneshot::Sender<Result<(), RosterError>>),
}

/// A session whose control stream is open.
pub(crate) struct Proven {
    pub(crate) id: SessionId,
    pub(crate) node: NodeId,
    pub(crate) direction: Direction,
    pub(crate) by: ProvenBy,
    pub(crate) name: String,
    pub(crate) cluster_name: String,
    pub(crate) local_ip: IpAddr,
    pub(crate) remote_ip: IpAddr,
    /// Where a caller listens itself.
    pub(crate) port: Option<u16>,
    /// The address from the settings that led to it.
    pub(crate) given: Option<String>,
    /// Where a called node was reached, and the way to use the session.
    pub(crate) outbound: Option<Outbound>,
    /// Ends it.
    pub(crate) stop: CancellationToken,
}
