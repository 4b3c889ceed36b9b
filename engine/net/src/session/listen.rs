//! Takes inbound connections: a bounded number of strangers at once, each with a few seconds to prove itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::handshake::Caller;
use super::keep::next_session;
use super::{Context, handshake, inbound, lock, pairing};
use crate::hub::HubMessage;
use crate::limits::{HANDSHAKE_TIMEOUT, STRANGERS_MAX, STRANGERS_PER_ADDRESS_MAX};

/// After a failed `accept` (no descriptors left): time for some to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many strangers each address has in the handshake now.
type Strangers = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A stranger's place; free again on drop.
struct Place {
    strangers: Strangers,
    address: IpAddr,
}

/// Accepts until this node leaves.
pub(crate) async fn listen(context: Arc<Context>, listener: TcpListener) {
    let strangers = Strangers::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = context.leaving.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok((stream, peer)) => (stream, peer.ip()),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a peer's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = Place::take(&strangers, address) else {
            tracing::debug!(%address, "too many strangers at once; one was turned away");
            continue;
        };
        let stop = context.stop.clone();
        let guest = Box::pin(welcome(context.clone(), stream, address, place));
        // Owned by the token of the whole network: it ends the session whatever state it is in.
        tokio::spawn(async move { stop.run_until_cancelled(guest).await });
    }
}

async fn welcome(context: Arc<Context>, stream: TcpStream, address: IpAddr, place: Place) {
    // Tokens are small and must not wait for company.
    let _ = stream.set_nodelay(true);
    let admitted = timeout(
        HANDSHAKE_TIMEOUT,
        handshake::admit(&context, stream, address),
    )
    .await;
    drop(place);
    match admitted {
        Ok(Ok(Caller::Member(member))) => {
            inbound::serve(context, *member, next_session()).await;
        }
        Ok(Ok(Caller::Partner(partner))) => {
            let (stream, node, met) = *partner;
            pairing::serve(context, stream, node, met).await;
        }
        Ok(Err((node, error))) => {
            tracing::debug!(%address, %error, "a caller was not let in");
            if let (Some(node), handshake::HandshakeError::Refused(refusal)) = (node, error) {
                // Only shown to people; while the hub is busy it may be left out.
                let _ = context.hub.try_send(HubMessage::Refused { node, refusal });
            }
        }
        Err(_) => tracing::debug!(%address, "a caller did not prove itself in time"),
    }
}

impl Place {
    fn take(strangers: &Strangers, address: IpAddr) -> Option<Self> {
        let mut table = lock(strangers);
        if table.values().sum::<usize>() >= STRANGERS_MAX {
            return None;
        }
        let count = table.entry(address).or_insert(0);
        if *count >= STRANGERS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Self {
            strangers: strangers.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = lock(&self.strangers);
        if let Some(count) = table.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.address);
            }
        }
    }
}
