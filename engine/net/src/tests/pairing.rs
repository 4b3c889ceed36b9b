use std::time::Duration;

use base::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::roster::newcomer;
use super::strangers::{stranger_at, what_comes};
use super::support::{Setup, TestNode};
use crate::discovery::memory::Neighbourhood;
use crate::limits::PAIRINGS_ASKED_MAX;
use crate::pairing::{ANSWER_BYTES, REVEAL_BYTES, Role, Starting};
use crate::proof::Channel;
use crate::{Belonging, Digits, NetEvent, PairingEnd, PairingStage, PairingView, tls};

pub(super) async fn stage(
    node: &mut TestNode,
    wanted: impl Fn(&PairingView) -> bool,
) -> PairingView {
    node.until(|event| match event {
        NetEvent::Pairing(view) if wanted(&view) => Some(view),
        _ => None,
    })
    .await
}

pub(super) async fn digits(node: &mut TestNode, with: NodeId) -> Digits {
    let compare = |view: &PairingView| matches!(view.stage, PairingStage::Compare { .. });
    let view = stage(node, compare).await;
    assert_eq!(view.node, with);
    match view.stage {
        PairingStage::Compare { digits, .. } => digits,
        _ => unreachable!(),
    }
}

pub(super) async fn ended(node: &mut TestNode) -> PairingEnd {
    let view = stage(node, |view| {
        matches!(view.stage, PairingStage::Ended(_) | PairingStage::Done)
    });
    match view.await.stage {
        PairingStage::Ended(end) => end,
        other => panic!("it did not end: {other:?}"),
    }
}

pub(super) async fn sees(node: &mut TestNode, other: NodeId, belongs: Belonging) {
    node.until(|event| match event {
        NetEvent::Seen(seen) if seen.node == Some(other) && seen.belongs == belongs => Some(()),
        _ => None,
    })
    .await;
}

/// Two that see each other, and digits on both screens. The first starts.
async fn comparing() -> (TestNode, TestNode) {
    let neighbourhood = Neighbourhood::new();
    let mut a = newcomer("a", &neighbourhood).start().await;
    let mut b = newcomer("b", &neighbourhood).start().await;
    sees(&mut a, b.id, Belonging::Newcomer).await;
    sees(&mut b, a.id, Belonging::Newcomer).await;
    a.handle.pair(b.id).await.unwrap();
    assert_eq!(digits(&mut a, b.id).await, digits(&mut b, a.id).await);
    (a, b)
}

#[tokio::test]
async fn each_side_sees_who_asks_what_to_compare_and_who_has_confirmed() {
    let (mut a, mut b) = comparing().await;
    b.handle.confirm_pairing(a.id).await.unwrap();
    let confirmed = |here, there| {
        move |view: &PairingView| {
            matches!(view.stage, PairingStage::Compare { confirmed_here, confirmed_there, .. }
                if (confirmed_here, confirmed_there) == (here, there))
        }
    };
    let view = stage(&mut a, confirmed(false, true)).await;
    assert_eq!((view.name.as_str(), view.started_here), ("b", true));
    let view = stage(&mut b, confirmed(true, false)).await;
    assert_eq!((view.name.as_str(), view.started_here), ("a", false));
    a.handle.confirm_pairing(b.id).await.unwrap();
    for node in [&mut a, &mut b] {
        stage(node, |view| view.stage == PairingStage::Done).await;
    }
    assert_eq!(
        a.handle.confirm_pairing(b.id).await,
        Err(PairingEnd::NotPairing)
    );
}

#[tokio::test]
async fn either_side_can_say_no() {
    let (mut a, mut b) = comparing().await;
    a.handle.confirm_pairing(b.id).await.unwrap();
    b.handle.cancel_pairing(a.id).await.unwrap();
    assert_eq!(ended(&mut a).await, PairingEnd::CancelledThere);
    assert_eq!(ended(&mut b).await, PairingEnd::CancelledHere);
    // And again, the other way round.
    b.handle.pair(a.id).await.unwrap();
    digits(&mut a, b.id).await;
    b.handle.cancel_pairing(a.id).await.unwrap();
    assert_eq!(ended(&mut a).await, PairingEnd::CancelledThere);
    assert_eq!(ended(&mut b).await, PairingEnd::CancelledHere);
    a.stays_unlinked(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn there_is_one_pairing_at_a_time() {
    let neighbourhood = Neighbourhood::new();
    let mut a = newcomer("a", &neighbourhood).start().await;
    let mut b = newcomer("b", &neighbourhood).start().await;
    let mut c = newcomer("c", &neighbourhood).start().await;
    for (node, other) in [(&mut a, b.id), (&mut c, b.id)] {
        sees(node, other, Belonging::Newcomer).await;
    }
    a.handle.pair(b.id).await.unwrap();
    digits(&mut b, a.id).await;
    assert_eq!(a.handle.pair(c.id).await, Err(PairingEnd::BusyHere));
    c.handle.pair(b.id).await.unwrap();
    assert_eq!(ended(&mut c).await, PairingEnd::BusyThere);
    assert_eq!(
        b.handle.confirm_pairing(c.id).await,
        Err(PairingEnd::NotPairing)
    );
    assert_eq!(
        b.handle.pair(NodeId([7; 32])).await,
        Err(PairingEnd::NotSeen)
    );
}

#[tokio::test]
async fn two_that_start_with_each_other_at_once_have_one_pairing() {
    for _ in 0..10 {
        let neighbourhood = Neighbourhood::new();
        let mut a = newcomer("a", &neighbourhood).start().await;
        let mut b = newcomer("b", &neighbourhood).start().await;
        sees(&mut a, b.id, Belonging::Newcomer).await;
        sees(&mut b, a.id, Belonging::Newcomer).await;
        let (one, other) = tokio::join!(a.handle.pair(b.id), b.handle.pair(a.id));
        assert_eq!((one, other), (Ok(()), Ok(())));
        let shown = [digits(&mut a, b.id).await, digits(&mut b, a.id).await];
        assert_eq!(shown[0], shown[1]);
        a.handle.confirm_pairing(b.id).await.unwrap();
        b.handle.confirm_pairing(a.id).await.unwrap();
        for node in [&mut a, &mut b] {
            stage(node, |view| view.stage == PairingStage::Done).await;
        }
    }
}

#[tokio::test]
async fn one_that_dies_ends_it_on_the_other_side() {
    let (a, mut b) = comparing().await;
    b.handle.confirm_pairing(a.id).await.unwrap();
    drop(a);
    assert_eq!(ended(&mut b).await, PairingEnd::Broken);
    b.stays_unlinked(Duration::from_millis(300)).await;
}

/// Everything takes as long as it takes, only the wait for a click does not.
#[tokio::test]
async fn what_nobody_confirms_ends_on_both_sides() {
    let (mut a, mut b) = comparing().await;
    a.handle.confirm_pairing(b.id).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(crate::limits::PAIRING_TIMEOUT).await;
    tokio::time::resume();
    assert_eq!(ended(&mut a).await, PairingEnd::TimedOut);
    assert_eq!(ended(&mut b).await, PairingEnd::TimedOut);
}

#[tokio::test]
async fn with_a_key_nobody_is_paired_and_it_is_said() {
    let neighbourhood = Neighbourhood::new();
    let mut keyed = Setup::among("keyed", &neighbourhood).start().await;
    let mut guest = newcomer("guest", &neighbourhood).start().await;
    sees(&mut guest, keyed.id, Belonging::Elsewhere).await;
    sees(&mut keyed, guest.id, Belonging::Newcomer).await;
    assert_eq!(keyed.handle.pair(guest.id).await, Err(PairingEnd::KeyHere));
    guest.handle.pair(keyed.id).await.unwrap();
    assert_eq!(ended(&mut guest).await, PairingEnd::KeyThere);
}

#[tokio::test]
async fn strangers_that_ask_too_often_are_turned_away() {
    let node = newcomer("a", &Neighbourhood::new()).start().await;
    let mut granted = 0;
    for _ in 0..3 * PAIRINGS_ASKED_MAX {
        let (mut stream, own) = stranger_at(node.handle.address()).await;
        let connection = stream.get_ref().1;
        let channel = Channel {
            dialer: own,
            listener: node.id,
            binding: tls::channel_binding(connection).unwrap(),
        };
        let (starting, hello) = Starting::begin(channel, Role::LetsIn, 1, [1; 32]);
        stream.write_all(&hello).await.unwrap();
        let mut answer = [0; ANSWER_BYTES];
        stream.read_exact(&mut answer).await.unwrap();
        match starting.answer("stranger", &answer) {
            Ok((_, reveal)) => {
                stream.write_all(&reveal).await.unwrap();
                granted += 1;
            }
            Err(PairingEnd::TooMany | PairingEnd::BusyThere) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!((1..=PAIRINGS_ASKED_MAX).contains(&granted), "{granted}");
}

#[tokio::test]
async fn a_reveal_that_does_not_fit_the_commitment_is_never_shown() {
    let mut node = newcomer("a", &Neighbourhood::new()).start().await;
    let (mut stream, own) = stranger_at(node.handle.address()).await;
    let channel = Channel {
        dialer: own,
        listener: node.id,
        binding: tls::channel_binding(stream.get_ref().1).unwrap(),
    };
    let (_, hello) = Starting::begin(channel, Role::LetsIn, 1, [1; 32]);
    stream.write_all(&hello).await.unwrap();
    stream.write_all(&[2; REVEAL_BYTES]).await.unwrap();
    assert_eq!(what_comes(&mut stream).await.len(), ANSWER_BYTES);
    let quiet = tokio::time::timeout(Duration::from_millis(300), node.events.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}
