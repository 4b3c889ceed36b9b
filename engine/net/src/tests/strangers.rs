use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::support::{KEY, PATIENCE, Setup, TestNode};
use crate::discovery::memory::Neighbourhood;
use crate::limits::{STRANGERS_PER_ADDRESS_MAX, WRONG_KEYS_MAX};
use crate::proof::{ANSWER_BYTES, Channel, Dialing, HELLO_BYTES};
use crate::session::greeting::{GREETING_BYTES, Greeting};
use crate::tls::{self, Tls};
use crate::{ClusterKey, Identity, NetEvent};

/// Long enough for a link to come up if it were going to.
const A_WHILE: Duration = Duration::from_millis(700);

#[tokio::test]
async fn a_wrong_key_locks_both_out_and_is_named() {
    let neighbourhood = Neighbourhood::new();
    let mut a = Setup::among("a", &neighbourhood).start().await;
    let mut b = Setup::among("b", &neighbourhood)
        .with_key(Some("guess"))
        .start()
        .await;
    let ids = [b.id, a.id];
    for (node, other) in [&mut a, &mut b].into_iter().zip(ids) {
        let sighting = node.locked().await;
        assert_eq!(sighting.node, Some(other));
        assert_eq!(sighting.cluster_name, "orchard");
        assert_eq!(sighting.locked.as_deref(), Some("wrong cluster key"));
        node.stays_unlinked(A_WHILE).await;
    }
}

#[tokio::test]
async fn a_node_without_a_key_sees_the_cluster_and_is_locked_out() {
    let neighbourhood = Neighbourhood::new();
    let mut member = Setup::among("member", &neighbourhood).start().await;
    let mut guest = Setup::among("guest", &neighbourhood)
        .with_key(None)
        .start()
        .await;
    let seen = guest.locked().await;
    assert_eq!(
        (seen.node, seen.cluster_name.as_str()),
        (Some(member.id), "orchard")
    );
    assert_eq!(seen.locked.as_deref(), Some("this node has no cluster key"));
    let seen = member.locked().await;
    assert_eq!(seen.node, Some(guest.id));
    assert_eq!(seen.locked.as_deref(), Some("it has no cluster key"));
    guest.stays_unlinked(A_WHILE).await;
    member.stays_unlinked(A_WHILE).await;
}

#[tokio::test]
async fn without_a_key_or_discovery_the_name_of_the_cluster_is_all_one_learns() {
    for key in [None, Some("guess")] {
        let mut member = Setup::alone("member").start().await;
        let guest = Setup::calling("guest", member.handle.address()).with_key(key);
        let mut guest = guest.start().await;
        let named = |event| match event {
            NetEvent::Seen(sighting) if sighting.node.is_some() => Some(sighting),
            _ => None,
        };
        let seen = guest.until(named).await;
        assert_eq!(seen.node, Some(member.id));
        assert_eq!(
            (seen.name.as_str(), seen.cluster_name.as_str()),
            ("member", "orchard")
        );
        assert!(seen.locked.is_some());
        guest.stays_unlinked(A_WHILE).await;
        member.stays_unlinked(A_WHILE).await;
    }
}

/// Somebody with a key pair and TLS, and nothing else. It has been greeted.
pub(super) async fn stranger_at(address: SocketAddr) -> (TlsStream<TcpStream>, NodeId) {
    let identity = Identity::generate().unwrap();
    let stream = connected(address, &identity).await;
    (stream, identity.node_id())
}

/// A connection with `identity`'s key, greeted.
pub(super) async fn connected(address: SocketAddr, identity: &Identity) -> TlsStream<TcpStream> {
    let tls = Tls::new(identity).unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut stream = tls
        .connector
        .connect(tls::server_name(), tcp)
        .await
        .unwrap();
    let mut greeting = [0; GREETING_BYTES];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(Greeting::from_bytes(&greeting).cluster_name, "orchard");
    stream
}

/// Everything that comes until the other side hangs up.
pub(super) async fn what_comes(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // How it ends does not matter here, only that it does.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("it hangs up");
    bytes
}

/// A hello as `key` would make it for this connection.
fn hello(stream: &TlsStream<TcpStream>, own: NodeId, key: &str) -> (Dialing, [u8; HELLO_BYTES]) {
    let connection = stream.get_ref().1;
    let channel = Channel {
        dialer: own,
        listener: tls::peer_of(connection).unwrap(),
        binding: tls::channel_binding(connection).unwrap(),
    };
    Dialing::start(channel, Some(&ClusterKey::new(key).unwrap()), 1)
        .ok()
        .unwrap()
}

/// Links a friend with `node` and takes it away again. Wrong keys shut out an address, but not whom it knows.
async fn befriend(node: &mut TestNode) -> Identity {
    let identity = Identity::generate().unwrap();
    still_lets_in(node, &identity).await;
    identity
}

async fn still_lets_in(node: &mut TestNode, friend: &Identity) {
    let setup = Setup {
        identity: friend.clone(),
        ..Setup::calling("friend", node.handle.address())
    };
    let mut friend = setup.start().await;
    friend.linked_with(node.id).await;
    node.linked_with(friend.id).await;
    friend.handle.leave().await;
    node.unlinked_from(friend.id).await;
}

#[tokio::test]
async fn garbage_in_place_of_the_proof_is_answered_with_one_refusal() {
    let mut node = Setup::alone("a").start().await;
    let friend = befriend(&mut node).await;
    for round in 0_u32..300 {
        let (mut stream, own) = stranger_at(node.handle.address()).await;
        let (_, mut hello) = hello(&stream, own, "guess");
        // Every byte of the hello in turn, and requests that skip it.
        let at = round as usize % HELLO_BYTES;
        hello[at] ^= (round / 40 + 1) as u8;
        let message = match round % 10 {
            8 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n then much more than a hello".to_vec(),
            9 => vec![round as u8; 4096],
            _ => [&hello[..], &[round as u8; 32]].concat(),
        };
        let _ = stream.write_all(&message).await;
        let answer = what_comes(&mut stream).await;
        assert!(answer.len() <= ANSWER_BYTES + 33, "{}", answer.len());
    }
    still_lets_in(&mut node, &friend).await;
}

#[tokio::test]
async fn garbage_in_place_of_tls_is_dropped() {
    let mut node = Setup::alone("a").start().await;
    let friend = befriend(&mut node).await;
    for round in 0_u8..100 {
        let mut tcp = TcpStream::connect(node.handle.address()).await.unwrap();
        let _ = tcp.write_all(&[round; 600]).await;
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, tcp.read_to_end(&mut rest))
            .await
            .expect("it hangs up");
        assert!(rest.len() < 100);
    }
    still_lets_in(&mut node, &friend).await;
}

#[tokio::test]
async fn a_recorded_proof_is_worth_nothing_on_another_connection() {
    let mut node = Setup::alone("a").start().await;
    let (first, own) = stranger_at(node.handle.address()).await;
    // A hello made with the right key, but for the first connection.
    let (_, recorded) = hello(&first, own, KEY);
    let (mut second, _) = stranger_at(node.handle.address()).await;
    second.write_all(&recorded).await.unwrap();
    let mut answer = [0; ANSWER_BYTES];
    second.read_exact(&mut answer).await.unwrap();
    second.write_all(&[7; 32]).await.unwrap();
    let verdict = what_comes(&mut second).await;
    assert_eq!(verdict.len(), 33);
    assert_eq!(verdict[1..], [0; 32]);
    node.stays_unlinked(A_WHILE).await;
}

#[tokio::test]
async fn whoever_says_nothing_is_shown_out() {
    let node = Setup::alone("a").start().await;
    let began = Instant::now();
    let mut silent = TcpStream::connect(node.handle.address()).await.unwrap();
    let (mut halfway, own) = stranger_at(node.handle.address()).await;
    let (_, hello) = hello(&halfway, own, "guess");
    halfway.write_all(&hello).await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, silent.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    what_comes(&mut halfway).await;
    let took = began.elapsed();
    assert!(
        took > Duration::from_secs(2) && took < Duration::from_secs(5),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_crowd_of_strangers_is_turned_away_at_the_door() {
    let mut node = Setup::alone("a").start().await;
    let friend = befriend(&mut node).await;
    let mut crowd = Vec::new();
    for _ in 0..STRANGERS_PER_ADDRESS_MAX {
        crowd.push(TcpStream::connect(node.handle.address()).await.unwrap());
    }
    let mut one_more = TcpStream::connect(node.handle.address()).await.unwrap();
    let began = Instant::now();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, one_more.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    // The places come free again.
    drop(crowd);
    still_lets_in(&mut node, &friend).await;
}

#[tokio::test]
async fn guessing_is_slow() {
    let mut node = Setup::alone("a").start().await;
    let friend = befriend(&mut node).await;
    let mut statuses = Vec::new();
    for _ in 0..WRONG_KEYS_MAX + 5 {
        let (mut stream, own) = stranger_at(node.handle.address()).await;
        let (dialing, hello) = hello(&stream, own, "guess");
        stream.write_all(&hello).await.unwrap();
        let mut answer = [0; ANSWER_BYTES];
        stream.read_exact(&mut answer).await.unwrap();
        match dialing.answer(&answer) {
            Ok((_, confirm)) => {
                stream.write_all(&confirm).await.unwrap();
                statuses.push(what_comes(&mut stream).await[0]);
            }
            Err(error) => {
                assert_eq!(error, crate::proof::ProofError::TooManyTries);
                statuses.push(answer[0]);
            }
        }
    }
    // The friend's own call counted as a guess until it had proven itself, and no longer.
    let (tried, turned_away) = statuses.split_at(WRONG_KEYS_MAX as usize);
    assert!(tried.iter().all(|status| *status == statuses[0]));
    assert!(turned_away.iter().all(|status| *status == turned_away[0]));
    assert_ne!(tried[0], turned_away[0]);
    still_lets_in(&mut node, &friend).await;
}
