//! One call to a peer, from its addresses to the end of the session.

use std::net::SocketAddr;
use std::sync::Arc;

use base::NodeId;
use futures::FutureExt;
use futures::future::select_ok;
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::greeting::Greeting;
use super::handshake::{self, HandshakeError};
use super::outbound::{self, OpenError};
use super::{Claim, Context, ProvenBy, SessionId};
use crate::limits::{ADDRESSES_PER_NODE_MAX, CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, RESOLVE_TIMEOUT};
use crate::proof::ProofError;

/// Whom to call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Target {
    /// A node that was seen or that called us.
    Node(NodeId),
    /// Whoever answers at `HOST:PORT`.
    Given(String),
}

/// Why a call did not become a session.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// A name could not be looked up, or there is no address.
    #[error("its address is unknown")]
    Unresolved,
    /// No address answered.
    #[error("cannot be reached")]
    Unreachable,
    /// Another node answered than the one that was called.
    #[error("another node answers at its address")]
    SomeoneElse,
    /// This node answered.
    #[error("it is this node itself")]
    Itself,
    /// There is already a session to the node that answered.
    #[error("it is already called")]
    Covered(NodeId),
    /// Connected, and then the handshake went wrong.
    #[error("{error}")]
    Handshake {
        /// Who answered.
        node: NodeId,
        /// What it said of itself, if it came to that.
        greeting: Option<Greeting>,
        /// What went wrong.
        error: HandshakeError,
    },
    /// Proven, and then the session could not be opened.
    #[error("{error}")]
    Open {
        /// Who answered.
        node: NodeId,
        /// What went wrong.
        error: OpenError,
    },
}

impl CallError {
    /// Who answered, if that was the one called.
    pub(crate) fn answered(&self) -> Option<NodeId> {
        match self {
            Self::Covered(node) | Self::Handshake { node, .. } | Self::Open { node, .. } => {
                Some(*node)
            }
            Self::Unresolved | Self::Unreachable | Self::SomeoneElse | Self::Itself => None,
        }
    }

    /// What whoever answered said of itself.
    pub(crate) fn greeting(&self) -> Option<&Greeting> {
        match self {
            Self::Handshake { greeting, .. } => greeting.as_ref(),
            Self::Unresolved
            | Self::Unreachable
            | Self::SomeoneElse
            | Self::Itself
            | Self::Covered(_)
            | Self::Open { .. } => None,
        }
    }

    /// Whether whoever answered is in no cluster yet.
    pub(crate) fn is_newcomer(&self) -> bool {
        let Self::Handshake { error, .. } = self else {
            return false;
        };
        matches!(error, HandshakeError::Refused(ProofError::NewcomerThere))
    }

    /// Whether asking again soon is pointless.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Handshake { error, .. } => matches!(error, HandshakeError::Refused(_)),
            Self::Unresolved
            | Self::Unreachable
            | Self::SomeoneElse
            | Self::Itself
            | Self::Covered(_)
            | Self::Open { .. } => false,
        }
    }
}

/// Calls `target` at `addresses`; when the session is over, gives whom it was with.
pub(crate) async fn call(
    context: &Arc<Context>,
    target: &Target,
    addresses: &[SocketAddr],
    id: SessionId,
) -> Result<NodeId, CallError> {
    let (mut stream, node, address) = reach_any(context, target, addresses).await?;
    let _claim: Claim = context.claim(node).ok_or(CallError::Covered(node))?;
    let by = prove(context, &mut stream, node, address).await?;
    let opened = outbound::open(context, stream, node).await;
    let session = opened.map_err(|error| CallError::Open { node, error })?;
    let given = match target {
        Target::Given(host) => Some(host.clone()),
        Target::Node(_) => None,
    };
    session.run(context, id, by, given).await;
    Ok(node)
}

/// Greets whoever was reached and proves that both belong together.
pub(crate) async fn prove(
    context: &Context,
    stream: &mut TlsStream<TcpStream>,
    node: NodeId,
    address: SocketAddr,
) -> Result<ProvenBy, CallError> {
    let failed = |greeting, error| CallError::Handshake {
        node,
        greeting,
        error,
    };
    let greeting = in_time(handshake::greeted(stream)).await;
    let greeting = greeting.map_err(|error| failed(None, error))?;
    let proof = handshake::prove(context, stream, node, address.ip(), &greeting);
    let proven = in_time(proof).await;
    proven.map_err(|error| failed(Some(greeting), error))
}

/// Connects to `target` with TLS; gives who answered, and where.
pub(crate) async fn reach_any(
    context: &Context,
    target: &Target,
    addresses: &[SocketAddr],
) -> Result<(TlsStream<TcpStream>, NodeId, SocketAddr), CallError> {
    let found = match target {
        Target::Node(_) => addresses.to_vec(),
        Target::Given(host) => resolve(host).await?,
    };
    let reached = found
        .iter()
        .take(ADDRESSES_PER_NODE_MAX)
        .map(|address| reach(context, target, *address).boxed());
    let reached: Vec<_> = reached.collect();
    if reached.is_empty() {
        return Err(CallError::Unresolved);
    }
    // All addresses at once: the first that answers as it should is the nearest, and the others hang up.
    let (reached, _) = select_ok(reached).await?;
    Ok(reached)
}

async fn resolve(host: &str) -> Result<Vec<SocketAddr>, CallError> {
    let found = timeout(RESOLVE_TIMEOUT, lookup_host(host)).await;
    let found = found.map_err(|_| CallError::Unresolved)?;
    found
        .map(Iterator::collect)
        .map_err(|_| CallError::Unresolved)
}

async fn reach(
    context: &Context,
    target: &Target,
    address: SocketAddr,
) -> Result<(TlsStream<TcpStream>, NodeId, SocketAddr), CallError> {
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let tcp = connected
        .ok()
        .and_then(Result::ok)
        .ok_or(CallError::Unreachable)?;
    // Tokens are small and must not wait for company.
    let _ = tcp.set_nodelay(true);
    let reached = timeout(HANDSHAKE_TIMEOUT, handshake::reach(context, tcp)).await;
    let (stream, node) = match reached {
        Ok(Ok(reached)) => reached,
        Ok(Err(HandshakeError::Itself)) => return Err(CallError::Itself),
        Ok(Err(_)) | Err(_) => return Err(CallError::Unreachable),
    };
    match target {
        Target::Node(expected) if *expected != node => Err(CallError::SomeoneElse),
        Target::Node(_) | Target::Given(_) => Ok((stream, node, address)),
    }
}

async fn in_time<T>(
    step: impl Future<Output = Result<T, HandshakeError>>,
) -> Result<T, HandshakeError> {
    let timed_out = || HandshakeError::Broken(std::io::ErrorKind::TimedOut.into());
    timeout(HANDSHAKE_TIMEOUT, step)
        .await
        .unwrap_or_else(|_| Err(timed_out()))
}
