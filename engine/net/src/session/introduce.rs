//! The proof by roster on an open connection: who is whose member, and the rosters where that is not clear.

use std::net::IpAddr;
use std::time::Duration;

use base::NodeId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::oneshot;

use super::Context;
use super::handshake::{HandshakeError, receive, send};
use crate::hub::HubMessage;
use crate::introduction::{ANSWER_BYTES, Introduction, from_answer, to_answer};
use crate::limits::HANDSHAKE_TIMEOUT;
use crate::proof::{HELLO_BYTES, ProofError, Status};
use crate::{Roster, Standing};

/// For the hub to take in a roster: longer than it ever takes, shorter than the other end's patience.
const HEAR_TIMEOUT: Duration = HANDSHAKE_TIMEOUT;

/// Introduces this node, which called, to `node` of the same cluster.
pub(super) async fn call<S: AsyncRead + AsyncWrite + Unpin>(
    context: &Context,
    stream: &mut S,
    node: NodeId,
    address: IpAddr,
    roster: &Roster,
) -> Result<(), HandshakeError> {
    let here = roster.standing(node);
    let introduction = Introduction {
        port: context.port,
        standing: here,
        cluster: roster.cluster(),
    };
    send(stream, &introduction.to_hello()).await?;
    let answer: [u8; ANSWER_BYTES] = receive(stream).await?;
    let there = from_answer(answer)?;
    if (here, there) == (Standing::Member, Standing::Member) {
        return Ok(());
    }
    show(stream, roster, here).await?;
    let shown = take(stream, there).await?;
    let [verdict] = receive(stream).await?;
    let heard = match shown {
        Some(bytes) => hear(context, node, bytes).await,
        None => context.are_members(node),
    };
    if heard.is_err() {
        context.guess_possible(address);
    }
    heard?;
    Ok(Status::read(verdict)?)
}

/// Answers `node`, which called and introduced itself; gives where it listens.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    context: &Context,
    stream: &mut S,
    node: NodeId,
    address: IpAddr,
    hello: &[u8; HELLO_BYTES],
) -> Result<u16, HandshakeError> {
    let known = welcome(context, node, address, hello);
    let told = known
        .as_ref()
        .map(|(_, here, _)| *here)
        .map_err(|error| *error);
    send(stream, &to_answer(told)).await?;
    let (introduction, here, roster) = known?;
    let there = introduction.standing;
    if (here, there) == (Standing::Member, Standing::Member) {
        return Ok(introduction.port);
    }
    let heard = match take(stream, there).await? {
        Some(bytes) => hear(context, node, bytes).await,
        None => context.are_members(node),
    };
    if heard.is_err() {
        context.guess_possible(address);
    }
    // What was here before: the other one has the rest.
    show(stream, &roster, here).await?;
    let verdict = heard.map_or_else(Status::of, |()| Status::Go);
    send(stream, &[verdict.byte()]).await?;
    heard?;
    Ok(introduction.port)
}

type Known = (Introduction, Standing, std::sync::Arc<Roster>);

fn welcome(
    context: &Context,
    node: NodeId,
    address: IpAddr,
    hello: &[u8; HELLO_BYTES],
) -> Result<Known, ProofError> {
    let introduction = Introduction::from_hello(hello)?;
    let roster = context.roster().ok_or(match context.key {
        Some(_) => ProofError::OtherCluster,
        None => ProofError::NewcomerHere,
    })?;
    if introduction.cluster != roster.cluster() {
        return Err(ProofError::OtherCluster);
    }
    let here = roster.standing(node);
    if here != Standing::Member && !context.may_try(node, address) {
        return Err(ProofError::TooManyTries);
    }
    Ok((introduction, here, roster))
}

/// Shows the roster to a node that is in it, or was.
async fn show<S: AsyncWrite + Unpin>(
    stream: &mut S,
    roster: &Roster,
    standing: Standing,
) -> std::io::Result<()> {
    match standing {
        Standing::Member | Standing::Former => send_roster(stream, roster).await,
        Standing::Unknown => Ok(()),
    }
}

/// Takes the roster of a node that has said that this node is in it, or was.
async fn take<S: AsyncRead + Unpin>(
    stream: &mut S,
    standing: Standing,
) -> std::io::Result<Option<Vec<u8>>> {
    match standing {
        Standing::Member | Standing::Former => receive_roster(stream).await.map(Some),
        Standing::Unknown => Ok(None),
    }
}

/// Sends a roster: its length, then as many bytes.
pub(super) async fn send_roster<S: AsyncWrite + Unpin>(
    stream: &mut S,
    roster: &Roster,
) -> std::io::Result<()> {
    let bytes = roster.to_bytes();
    let length = u32::try_from(bytes.len()).expect("a roster has at most 64 KiB");
    send(stream, &[&length.to_be_bytes()[..], &bytes].concat()).await
}

/// Receives the bytes of a roster, which are as yet nothing but bytes.
pub(super) async fn receive_roster<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> std::io::Result<Vec<u8>> {
    let length = u32::from_be_bytes(receive(stream).await?) as usize;
    if length > Roster::BYTES_MAX {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    // Grows as the bytes come.
    let read = stream.take(length as u64).read_to_end(&mut bytes).await?;
    if read < length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Has a roster checked and taken in; whether both nodes are members then.
pub(super) async fn hear(
    context: &Context,
    from: NodeId,
    bytes: Vec<u8>,
) -> Result<(), ProofError> {
    let read = read(bytes).await.ok_or(ProofError::Malformed)?;
    let (reply, heard) = oneshot::channel();
    let message = HubMessage::Heard {
        from,
        roster: read,
        reply,
    };
    let _ = context.hub.send(message).await;
    match tokio::time::timeout(HEAR_TIMEOUT, heard).await {
        Ok(Ok(heard)) => heard,
        // This node stops, or is so busy that the other one had better try again.
        Ok(Err(_)) | Err(_) => Err(ProofError::NotMemberThere),
    }
}

/// The roster of these bytes. Up to 256 signatures take milliseconds, which the runtime does not have.
pub(super) async fn read(bytes: Vec<u8>) -> Option<Roster> {
    let read = tokio::task::spawn_blocking(move || Roster::from_bytes(&bytes).ok());
    read.await.ok().flatten()
}
