//! What reaches the hub: from discovery, from calls, from sessions, from the handle.

use std::net::IpAddr;

use base::NodeId;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::PeerFrame;
use crate::discovery::DiscoveryEvent;
use crate::proof::ProofError;
use crate::session::call::{CallError, Target};
use crate::session::outbound::Outbound;
use crate::session::{Direction, SessionId};

/// What reaches the hub.
#[expect(
    clippy::large_enum_variant,
    reason = "a few in a second, each moved twice"
)]
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
    /// This node is to say goodbye and stop; answered when that is done.
    Leave(oneshot::Sender<()>),
}

/// A session whose control stream is open.
pub(crate) struct Proven {
    pub(crate) id: SessionId,
    pub(crate) node: NodeId,
    pub(crate) direction: Direction,
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
