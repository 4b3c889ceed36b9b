//! The network as `node` holds it: a cheap handle on the actor that runs it.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{Failure, NodeId, TokenEvent};
use futures::stream::BoxStream;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::{Generate, NetConfig, NetEvent, PeerFrame, PeerHandler};

/// Why the network could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The peer listener's address is taken or not ours.
    #[error("cannot listen for peers on {address}: {source} (hint: choose another --peer-port)")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// mDNS could not be started.
    #[error(
        "cannot start discovery: {0} (hint: start with --no-discovery and name the other nodes with --peer)"
    )]
    Discovery(String),
    /// The identity cannot be used for TLS.
    #[error("cannot use the node's key for TLS: {0}")]
    Tls(String),
}

/// Why a frame was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    /// There is no link to that node now; it gets everything anew on the next `LinkUp`.
    #[error("no link to that node")]
    NotLinked,
    /// The frame is larger than a peer frame may be.
    #[error("the frame is larger than a peer frame may be")]
    TooLarge,
}

/// A running network. Cheap to clone; dropping the last one stops it without saying goodbye.
#[derive(Debug, Clone)]
pub struct NetHandle {
    address: SocketAddr,
}

/// Listens, looks for other nodes and calls them, until [`NetHandle::leave`] or the last handle is dropped.
///
/// The receiver must be read: while it is full, incoming frames wait, and a peer that waits for two seconds hangs up.
pub async fn start(
    config: NetConfig,
    handler: Arc<dyn PeerHandler>,
) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), StartError> {
    let _ = (config, handler);
    todo!()
}

impl NetHandle {
    /// Where peers reach this node: the configured address with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a frame to every linked node. Never waits: a link whose queue is full is dropped and made anew.
    pub fn broadcast(&self, frame: &PeerFrame) -> Result<(), SendError> {
        let _ = frame;
        todo!()
    }

    /// Sends a frame to one linked node. Never waits, like [`NetHandle::broadcast`].
    pub fn send(&self, to: NodeId, frame: &PeerFrame) -> Result<(), SendError> {
        let _ = (to, frame);
        todo!()
    }

    /// Asks a linked node for a generation. The stream's last event is `Finished` or `Failed`; one that ends
    /// without them is broken (link, node or worker lost) and may be asked for again elsewhere. Dropping the
    /// stream cancels the generation there; not polling it makes the sender wait.
    pub async fn generate(
        &self,
        at: NodeId,
        generate: Generate,
    ) -> Result<BoxStream<'static, TokenEvent>, Failure> {
        let _ = (at, generate);
        todo!()
    }

    /// Says goodbye to peers and discovery and stops; returns when that is done, within a second.
    pub async fn leave(&self) {
        todo!()
    }
}
