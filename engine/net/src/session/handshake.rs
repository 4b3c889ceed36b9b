//! From an open TCP connection to a proven member: TLS, the greeting of the node that was called, then the proof on
//! the bare TLS stream, by key or by roster. Nothing else is read before the proof is complete, and all of it has a time
//! limit. In place of a proof the node that called may ask to be paired.

use std::net::IpAddr;
use std::sync::Arc;

use base::NodeId;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

use super::greeting::{GREETING_BYTES, Greeting};
use super::pairing::Met;
use super::{Context, ProvenBy, introduce, pairing};
use crate::pairing::PairingEnd;
use crate::proof::{
    ANSWER_BYTES, CONFIRM_BYTES, Channel, Dialing, HELLO_BYTES, Listening, ProofError,
    VERDICT_BYTES,
};
use crate::{introduction, tls};

/// Why a handshake ended without a member.
#[derive(Debug, Error)]
pub(crate) enum HandshakeError {
    /// The connection broke or the other end spoke no TLS of ours.
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    /// The other end is this very node.
    #[error("it is this node itself")]
    Itself,
    /// TLS ended without what it must have established.
    #[error("it does not speak Espalier's protocol")]
    NotEspalier,
    /// The proof failed.
    #[error(transparent)]
    Refused(#[from] ProofError),
    /// A pairing did not begin.
    #[error("no pairing: {0}")]
    Pairing(#[from] PairingEnd),
}

/// An inbound connection whose other end proved to be a member.
pub(crate) struct Member {
    pub(crate) stream: server::TlsStream<TcpStream>,
    pub(crate) node: NodeId,
    /// Where it says it listens.
    pub(crate) port: u16,
    pub(crate) by: ProvenBy,
}

/// Whom an inbound connection has turned out to be from.
pub(crate) enum Caller {
    /// A member.
    Member(Box<Member>),
    /// A node that wants to be paired: nothing is proven but its key.
    Partner(Box<(server::TlsStream<TcpStream>, NodeId, Met)>),
}

/// TLS as the side that called; gives who answered, not yet whether it is a member.
pub(crate) async fn reach(
    context: &Context,
    stream: TcpStream,
) -> Result<(client::TlsStream<TcpStream>, NodeId), HandshakeError> {
    let stream = context
        .tls
        .connector
        .connect(tls::server_name(), stream)
        .await?;
    let connection = stream.get_ref().1;
    let node = tls::peer_of(connection).filter(|_| tls::speaks_espalier(connection));
    match node.ok_or(HandshakeError::NotEspalier)? {
        node if node == context.own.node => Err(HandshakeError::Itself),
        node => Ok((stream, node)),
    }
}

/// What whoever was reached says of itself.
pub(crate) async fn greeted(
    stream: &mut client::TlsStream<TcpStream>,
) -> Result<Greeting, HandshakeError> {
    let greeting: [u8; GREETING_BYTES] = receive(stream).await?;
    Ok(Greeting::from_bytes(&greeting))
}

/// The proof as the side that called.
pub(crate) async fn prove(
    context: &Context,
    stream: &mut client::TlsStream<TcpStream>,
    node: NodeId,
    address: IpAddr,
    greeting: &Greeting,
) -> Result<ProvenBy, HandshakeError> {
    context.can_call(greeting.home)?;
    if let (None, Some(roster)) = (&context.key, context.roster()) {
        introduce::call(context, stream, node, address, &roster).await?;
        return Ok(ProvenBy::Roster);
    }
    if !context.may_try(node, address) {
        return Err(ProofError::TooManyTries.into());
    }
    let channel = Channel {
        dialer: context.own.node,
        listener: node,
        binding: tls::channel_binding(stream.get_ref().1).ok_or(HandshakeError::NotEspalier)?,
    };
    let (dialing, hello) = Dialing::start(channel, context.key.as_ref(), context.port)?;
    send(stream, &hello).await?;
    let answer: [u8; ANSWER_BYTES] = receive(stream).await?;
    let (confirmed, confirm) = dialing.answer(&answer)?;
    // The confirmation lets whoever answers check one guess, also if it then breaks off: counted until it proves
    // that it had no need to guess.
    context.guess_possible(address);
    send(stream, &confirm).await?;
    let verdict: [u8; VERDICT_BYTES] = receive(stream).await?;
    confirmed.verdict(&verdict)?;
    context.proven(node);
    context.no_guess_after_all(address);
    Ok(ProvenBy::Key)
}

/// TLS and proof as the side that was called. On a refusal it also tells who was refused, if that is known.
pub(crate) async fn admit(
    context: &Arc<Context>,
    stream: TcpStream,
    address: IpAddr,
) -> Result<Caller, (Option<NodeId>, HandshakeError)> {
    let accepted = context.tls.acceptor.accept(stream).await;
    let mut stream = accepted.map_err(|error| (None, error.into()))?;
    let connection = stream.get_ref().1;
    let node = tls::peer_of(connection).filter(|_| tls::speaks_espalier(connection));
    let node = node.ok_or((None, HandshakeError::NotEspalier))?;
    if node == context.own.node {
        return Err((None, HandshakeError::Itself));
    }
    match check(context, &mut stream, node, address).await {
        Ok(Checked::Proven(port, by)) => Ok(Caller::Member(Box::new(Member {
            stream,
            node,
            port,
            by,
        }))),
        Ok(Checked::Met(met)) => Ok(Caller::Partner(Box::new((stream, node, met)))),
        Err(error) => {
            // So that the reason arrives; the time limit around it bounds this too.
            let _ = stream.shutdown().await;
            Err((Some(node), error))
        }
    }
}

enum Checked {
    Proven(u16, ProvenBy),
    Met(Met),
}

async fn check(
    context: &Context,
    stream: &mut server::TlsStream<TcpStream>,
    node: NodeId,
    address: IpAddr,
) -> Result<Checked, HandshakeError> {
    let channel = Channel {
        dialer: node,
        listener: context.own.node,
        binding: tls::channel_binding(stream.get_ref().1).ok_or(HandshakeError::NotEspalier)?,
    };
    let greeting = Greeting {
        name: context.own.name.clone(),
        cluster_name: context.own.cluster_name.clone(),
        home: context.home(),
    };
    send(stream, &greeting.to_bytes()).await?;
    // Every exchange begins with as many bytes; the first four say which.
    let hello: [u8; HELLO_BYTES] = receive(stream).await?;
    if hello.starts_with(&introduction::MAGIC) {
        let port = introduce::answer(context, stream, node, address, &hello).await?;
        Ok(Checked::Proven(port, ProvenBy::Roster))
    } else if hello.starts_with(&crate::pairing::MAGIC) {
        let met = pairing::answer(context, stream, channel, &hello).await?;
        Ok(Checked::Met(met))
    } else {
        let port = check_key(context, stream, channel, address, &hello).await?;
        Ok(Checked::Proven(port, ProvenBy::Key))
    }
}

async fn check_key(
    context: &Context,
    stream: &mut server::TlsStream<TcpStream>,
    channel: Channel,
    address: IpAddr,
    hello: &[u8; HELLO_BYTES],
) -> Result<u16, HandshakeError> {
    let node = channel.dialer;
    let open = context.may_try(node, address);
    let (listening, answer) = Listening::hello(channel, context.key.as_ref(), open, hello);
    send(stream, &answer).await?;
    let listening = listening?;
    let port = listening.dialer_port;
    let confirm: [u8; CONFIRM_BYTES] = receive(stream).await?;
    let (result, verdict) = listening.confirm(&confirm);
    match result {
        Ok(()) => context.proven(node),
        Err(_) => context.guess_possible(address),
    }
    send(stream, &verdict).await?;
    result?;
    Ok(port)
}

pub(super) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &[u8],
) -> std::io::Result<()> {
    stream.write_all(message).await?;
    stream.flush().await
}

pub(super) async fn receive<const N: usize>(
    stream: &mut (impl AsyncRead + Unpin),
) -> std::io::Result<[u8; N]> {
    let mut message = [0; N];
    stream.read_exact(&mut message).await?;
    Ok(message)
}
