use std::time::{Duration, Instant};

use super::pairing::sees;
use super::roster::pair;
use super::support::Setup;
use crate::{Belonging, Discovery, NetEvent};

fn on_loopback(name: &'static str) -> Setup {
    Setup {
        discovery: Discovery::Loopback,
        ..Setup::alone(name)
    }
}

/// Real multicast, on the loopback interface alone.
#[tokio::test]
async fn nodes_of_one_machine_find_each_other_in_well_under_a_second() {
    let mut a = on_loopback("a").start().await;
    // So that the first one's own announcements are long past.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let began = Instant::now();
    let mut b = on_loopback("b").start().await;
    b.linked_with(a.id).await;
    a.linked_with(b.id).await;
    let took = began.elapsed();
    println!("from the second node's start to the link: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");

    // Killed, and back with another port before anyone could forget the old one.
    let identity = b.identity.clone();
    drop(b);
    let began = Instant::now();
    let setup = Setup {
        identity,
        ..on_loopback("b")
    };
    let mut b = setup.start().await;
    b.linked_with(a.id).await;
    a.linked_with(b.id).await;
    let took = began.elapsed();
    println!("from a restart to the link: {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");

    b.handle.leave().await;
    let gone = b.id;
    a.unlinked_from(gone).await;
    a.until(|event| {
        matches!(event, NetEvent::Unseen(last) if last.node == Some(gone)).then_some(())
    })
    .await;
}

/// What a node belongs to is announced anew when it changes.
#[tokio::test]
async fn newcomers_that_find_each_other_pair_and_link() {
    let newcomer = |name| on_loopback(name).with_key(None);
    let mut a = newcomer("a").start().await;
    let mut b = newcomer("b").start().await;
    sees(&mut a, b.id, Belonging::Newcomer).await;
    sees(&mut b, a.id, Belonging::Newcomer).await;
    pair(&mut a, &mut b).await;
    a.linked_with(b.id).await;
    b.linked_with(a.id).await;
    let mut c = newcomer("c").start().await;
    sees(&mut c, b.id, Belonging::Elsewhere).await;
    sees(&mut b, c.id, Belonging::Newcomer).await;
    pair(&mut c, &mut b).await;
    a.linked_with(c.id).await;
    c.linked_with(a.id).await;
    b.handle.remove_member(c.id).await.unwrap();
    sees(&mut a, c.id, Belonging::Newcomer).await;
}
