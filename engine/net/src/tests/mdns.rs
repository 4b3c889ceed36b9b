use std::time::{Duration, Instant};

use super::support::Setup;
use crate::{Discovery, NetEvent};

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
