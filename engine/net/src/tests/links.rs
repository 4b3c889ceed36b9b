use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::support::{Setup, pair, record};
use crate::discovery::memory::Neighbourhood;
use crate::limits::CONTROL_QUEUE;
use crate::{Identity, NetEvent, SendError};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::test]
async fn three_nodes_that_see_each_other_link_and_send() {
    let neighbourhood = Neighbourhood::new();
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        nodes.push(Setup::among(name, &neighbourhood).start().await);
    }
    let ids: Vec<_> = nodes.iter().map(|node| node.id).collect();
    for node in &mut nodes {
        let mut missing: Vec<_> = ids.iter().filter(|id| **id != node.id).copied().collect();
        while !missing.is_empty() {
            let up = node.until(|event| match event {
                NetEvent::LinkUp {
                    node,
                    name,
                    local_ip,
                    remote_ip,
                } => {
                    assert_eq!((local_ip, remote_ip), (LOCALHOST, LOCALHOST));
                    assert!(["a", "b", "c"].contains(&name.as_str()));
                    Some(node)
                }
                _ => None,
            });
            let up = up.await;
            missing.retain(|id| *id != up);
        }
    }
    nodes[0].handle.broadcast(&record(ids[0], 1)).unwrap();
    assert_eq!(nodes[1].frame().await, (ids[0], record(ids[0], 1)));
    assert_eq!(nodes[2].frame().await, (ids[0], record(ids[0], 1)));
    nodes[2].handle.send(ids[1], &record(ids[2], 1)).unwrap();
    assert_eq!(nodes[1].frame().await, (ids[2], record(ids[2], 1)));
}

#[tokio::test]
async fn both_ends_measure_what_a_link_carries() {
    let (mut a, mut b) = pair().await;
    let carried = |event| match event {
        NetEvent::LinkBandwidth { node, bytes_per_s } => Some((node, bytes_per_s)),
        _ => None,
    };
    let (from_a, from_b) = (a.until(carried).await, b.until(carried).await);
    assert_eq!((from_a.0, from_b.0), (b.id, a.id));
    // Slower than any memory and faster than any modem.
    for (_, bytes_per_s) in [from_a, from_b] {
        assert!(
            (1_000_000..1_000_000_000_000).contains(&bytes_per_s),
            "{bytes_per_s}"
        );
    }
    a.handle.send(b.id, &record(a.id, 1)).unwrap();
    assert_eq!(b.frame().await, (a.id, record(a.id, 1)));
}

/// Everyone calls everyone at the same moment, on several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_nodes_that_start_together_all_link() {
    let neighbourhood = Neighbourhood::new();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let starting = names.map(|name| Setup::among(name, &neighbourhood).start());
    let mut nodes = futures::future::join_all(starting).await;
    let ids: Vec<_> = nodes.iter().map(|node| node.id).collect();
    for node in &mut nodes {
        let mut up = HashSet::new();
        while up.len() < ids.len() - 1 {
            node.until(|event| match event {
                NetEvent::LinkUp { node, .. } => {
                    assert!(up.insert(node), "twice");
                    Some(())
                }
                NetEvent::LinkDown { node } => panic!("{node} was lost"),
                _ => None,
            })
            .await;
        }
    }
}

#[tokio::test]
async fn an_address_given_on_one_side_is_enough_for_both() {
    let (mut a, mut b) = pair().await;
    for version in 0..100 {
        a.handle.send(b.id, &record(a.id, version)).unwrap();
        b.handle.send(a.id, &record(b.id, version)).unwrap();
    }
    for version in 0..100 {
        assert_eq!(a.frame().await, (b.id, record(b.id, version)));
        assert_eq!(b.frame().await, (a.id, record(a.id, version)));
    }
    let us = b.until(|event| match event {
        NetEvent::LinkMeasured { round_trip_us, .. } => Some(round_trip_us),
        _ => None,
    });
    assert!((1..1_000_000).contains(&us.await));
}

#[tokio::test]
async fn a_given_address_becomes_the_node_that_answers_there() {
    let a = Setup::alone("Anna's Mac").start().await;
    let address = a.handle.address().to_string();
    let mut b = Setup::calling("b", a.handle.address()).start().await;
    let first = b.until(|event| match event {
        NetEvent::Seen(sighting) => Some(sighting),
        _ => None,
    });
    assert_eq!(first.await.node, None);
    b.until(|event| {
        matches!(&event, NetEvent::Unseen(last) if last.address == address).then_some(())
    })
    .await;
    let named = b.until(|event| match event {
        NetEvent::Seen(sighting) => Some(sighting),
        _ => None,
    });
    let named = named.await;
    assert_eq!(
        (named.node, named.name.as_str()),
        (Some(a.id), "Anna's Mac")
    );
    assert_eq!(named.cluster_name, "orchard");
}

#[tokio::test]
async fn a_node_that_is_given_its_own_address_does_not_call_itself() {
    let port = TcpListener::bind((LOCALHOST, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let setup = Setup {
        listen: (LOCALHOST, port).into(),
        ..Setup::calling("a", (LOCALHOST, port).into())
    };
    let mut node = setup.start().await;
    let forgotten = node.until(|event| {
        assert!(!matches!(event, NetEvent::LinkUp { .. }));
        matches!(event, NetEvent::Unseen(_)).then_some(())
    });
    forgotten.await;
}

#[tokio::test]
async fn a_killed_node_is_missed_at_once_and_welcome_again() {
    let neighbourhood = Neighbourhood::new();
    let mut a = Setup::among("a", &neighbourhood).start().await;
    let identity = Identity::generate().unwrap();
    let id = identity.node_id();
    for _ in 0..3 {
        let setup = Setup {
            identity: identity.clone(),
            ..Setup::among("b", &neighbourhood)
        };
        let mut b = setup.start().await;
        a.linked_with(id).await;
        b.linked_with(a.id).await;
        let killed = Instant::now();
        // Closes its sockets without a word, as the system does for a killed process.
        drop(b);
        a.unlinked_from(id).await;
        assert!(
            killed.elapsed() < Duration::from_millis(500),
            "{:?}",
            killed.elapsed()
        );
        assert_eq!(
            a.handle.send(id, &record(a.id, 1)),
            Err(SendError::NotLinked)
        );
    }
}

#[tokio::test]
async fn a_node_that_leaves_is_missed_at_once_and_unseen() {
    let neighbourhood = Neighbourhood::new();
    let mut a = Setup::among("a", &neighbourhood).start().await;
    let mut b = Setup::among("b", &neighbourhood).start().await;
    a.linked_with(b.id).await;
    b.linked_with(a.id).await;
    let left = Instant::now();
    b.handle.leave().await;
    a.unlinked_from(b.id).await;
    assert!(
        left.elapsed() < Duration::from_millis(500),
        "{:?}",
        left.elapsed()
    );
    let gone = b.id;
    a.until(|event| {
        matches!(event, NetEvent::Unseen(last) if last.node == Some(gone)).then_some(())
    })
    .await;
}

/// A wire that can be cut: nothing is closed, nothing goes through any more.
async fn wire_to(target: std::net::SocketAddr) -> (std::net::SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (cut, is_cut) = watch::channel(false);
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut is_cut = is_cut.clone();
            let held = tokio::spawn(async move {
                let mut far = TcpStream::connect(target).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    () = is(&mut is_cut, true) => is(&mut is_cut, false).await,
                }
            });
            open.push(held);
        }
    });
    (address, cut)
}

async fn is(state: &mut watch::Receiver<bool>, wanted: bool) {
    state.wait_for(|state| *state == wanted).await.unwrap();
}

#[tokio::test]
async fn a_pulled_cable_is_noticed_on_both_sides_and_mends() {
    let mut a = Setup::alone("a").start().await;
    let (wire, cut) = wire_to(a.handle.address()).await;
    let mut b = Setup::calling("b", wire).start().await;
    a.linked_with(b.id).await;
    b.linked_with(a.id).await;
    let pulled = Instant::now();
    cut.send(true).unwrap();
    b.unlinked_from(a.id).await;
    a.unlinked_from(b.id).await;
    let noticed = pulled.elapsed();
    assert!(
        noticed > Duration::from_secs(1) && noticed < Duration::from_secs(5),
        "{noticed:?}"
    );
    cut.send(false).unwrap();
    a.linked_with(b.id).await;
    b.linked_with(a.id).await;
    a.handle.send(b.id, &record(a.id, 7)).unwrap();
    assert_eq!(b.frame().await, (a.id, record(a.id, 7)));
}

#[tokio::test]
async fn a_node_that_does_not_read_is_dropped_and_told_anew() {
    let (a, mut b) = pair().await;
    let mut sent = 0;
    // More than every queue on the way together; TCP and TLS take some megabytes more.
    while a.handle.send(b.id, &record(a.id, sent)) != Err(SendError::NotLinked) {
        sent += 1;
        if sent % 64 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(sent < 1_000_000, "nothing bounds the queue");
    }
    assert!(sent as usize > CONTROL_QUEUE);
    b.unlinked_from(a.id).await;
    b.linked_with(a.id).await;
}
