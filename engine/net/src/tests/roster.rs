use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::pairing::{digits, ended, sees, stage};
use super::support::{Setup, TestNode, record};
use crate::discovery::memory::Neighbourhood;
use crate::{
    Belonging, Identity, NetEvent, PairingEnd, PairingStage, Roster, RosterChange, RosterError,
};

/// Long enough for a link to come up if it were going to.
const A_WHILE: Duration = Duration::from_millis(700);

/// A node with neither key nor roster.
pub(super) fn newcomer(name: &'static str, neighbourhood: &Neighbourhood) -> Setup {
    Setup::among(name, neighbourhood).with_key(None)
}

fn member(
    name: &'static str,
    identity: &Identity,
    roster: &Roster,
    neighbourhood: &Neighbourhood,
) -> Setup {
    Setup {
        identity: identity.clone(),
        roster: Some(roster.clone()),
        ..newcomer(name, neighbourhood)
    }
}

/// The next roster that this node is told to keep.
async fn kept(node: &mut TestNode) -> Roster {
    match changed(node).await {
        RosterChange::Member(roster) => roster,
        other => panic!("{other:?}"),
    }
}

async fn changed(node: &mut TestNode) -> RosterChange {
    node.until(|event| match event {
        NetEvent::RosterChanged(change) => Some(change),
        _ => None,
    })
    .await
}

/// Pairs two that see each other; gives the roster that each is told to keep.
pub(super) async fn pair(starter: &mut TestNode, other: &mut TestNode) -> [Roster; 2] {
    starter.handle.pair(other.id).await.unwrap();
    let there = digits(starter, other.id).await;
    assert_eq!(digits(other, starter.id).await, there);
    starter.handle.confirm_pairing(other.id).await.unwrap();
    other.handle.confirm_pairing(starter.id).await.unwrap();
    let rosters = [kept(starter).await, kept(other).await];
    for node in [starter, other] {
        stage(node, |view| view.stage == PairingStage::Done).await;
    }
    rosters
}

async fn linked(nodes: [&mut TestNode; 2]) {
    let [a, b] = nodes;
    a.linked_with(b.id).await;
    b.linked_with(a.id).await;
}

/// A cluster of so many, made without anyone's clicks.
fn cluster(size: usize) -> (Vec<Identity>, Roster) {
    let identities: Vec<_> = (0..size).map(|_| Identity::generate().unwrap()).collect();
    let mut roster = Roster::found(&identities[0], "first", [1; 16]);
    for other in &identities[1..] {
        roster
            .add(&identities[0], other.node_id(), "other")
            .unwrap();
    }
    (identities, roster)
}

#[tokio::test]
async fn two_newcomers_pair_link_and_link_again_after_a_restart() {
    let neighbourhood = Neighbourhood::new();
    let mut a = newcomer("a", &neighbourhood).start().await;
    let mut b = newcomer("b", &neighbourhood).start().await;
    sees(&mut a, b.id, Belonging::Newcomer).await;
    sees(&mut b, a.id, Belonging::Newcomer).await;
    let [one, other] = pair(&mut a, &mut b).await;
    assert_eq!(one, other);
    let names: Vec<_> = one
        .members()
        .into_iter()
        .map(|member| member.name)
        .collect();
    assert_eq!(names, ["a", "b"], "the one that started founded it");
    linked([&mut a, &mut b]).await;
    a.handle.send(b.id, &record(a.id, 1)).unwrap();
    assert_eq!(b.frame().await, (a.id, record(a.id, 1)));

    let identities = [a.identity.clone(), b.identity.clone()];
    a.handle.leave().await;
    drop((a, b));
    // What was kept is bytes in a file.
    let kept = Roster::from_bytes(&one.to_bytes()).unwrap();
    let mut a = member("a", &identities[0], &kept, &neighbourhood)
        .start()
        .await;
    let mut b = member("b", &identities[1], &kept, &neighbourhood)
        .start()
        .await;
    linked([&mut a, &mut b]).await;
}

#[tokio::test]
async fn a_third_joins_through_one_member_and_links_with_the_other_too() {
    let neighbourhood = Neighbourhood::new();
    let (identities, roster) = cluster(2);
    let mut a = member("a", &identities[0], &roster, &neighbourhood)
        .start()
        .await;
    let mut b = member("b", &identities[1], &roster, &neighbourhood)
        .start()
        .await;
    linked([&mut a, &mut b]).await;
    let mut c = newcomer("c", &neighbourhood).start().await;
    sees(&mut c, b.id, Belonging::Elsewhere).await;
    // The newcomer starts, and joins.
    let [joined, extended] = pair(&mut c, &mut b).await;
    assert_eq!(joined, extended);
    assert_eq!(joined.cluster(), roster.cluster());
    let mut missing = vec![a.id, b.id];
    while !missing.is_empty() {
        let up = c.until(|event| match event {
            NetEvent::LinkUp { node, .. } => Some(node),
            _ => None,
        });
        let up = up.await;
        missing.retain(|node| *node != up);
    }
    assert_eq!(kept(&mut a).await, joined);
}

#[tokio::test]
async fn a_new_member_gets_in_while_the_one_that_added_it_is_away() {
    let (identities, old) = cluster(2);
    let newest = Identity::generate().unwrap();
    let mut new = old.clone();
    new.add(&identities[0], newest.node_id(), "newest").unwrap();
    // Whichever of the two calls, and whether or not the other one would.
    for newest_calls in [true, false] {
        let nowhere = Neighbourhood::new();
        let old_setup = member("old", &identities[1], &old, &nowhere);
        let new_setup = member("newest", &newest, &new, &nowhere);
        let (called, calling) = if newest_calls {
            (old_setup, new_setup)
        } else {
            (new_setup, old_setup)
        };
        let mut called = Setup {
            discovery: crate::Discovery::Off,
            ..called
        }
        .start()
        .await;
        let mut calling = Setup {
            discovery: crate::Discovery::Off,
            peers: vec![called.handle.address().to_string()],
            ..calling
        }
        .start()
        .await;
        let hearing = if newest_calls {
            &mut called
        } else {
            &mut calling
        };
        assert_eq!(kept(hearing).await, new);
        linked([&mut called, &mut calling]).await;
    }
}

#[tokio::test]
async fn a_removed_node_is_cut_off_at_once_learns_it_and_cannot_come_back() {
    let neighbourhood = Neighbourhood::new();
    let (identities, roster) = cluster(3);
    let mut nodes = Vec::new();
    for (name, identity) in ["a", "b", "c"].into_iter().zip(&identities) {
        nodes.push(
            member(name, identity, &roster, &neighbourhood)
                .start()
                .await,
        );
    }
    let [a, b, c] = &mut nodes[..] else {
        unreachable!()
    };
    linked([a, b]).await;
    c.linked_with(a.id).await;
    let removed = Instant::now();
    a.handle.remove_member(c.id).await.unwrap();
    a.unlinked_from(c.id).await;
    assert!(!kept(b).await.is_member(c.id));
    b.unlinked_from(c.id).await;
    assert!(
        removed.elapsed() < Duration::from_millis(500),
        "{:?}",
        removed.elapsed()
    );
    let told = RosterChange::Removed {
        by: Some("first".into()),
    };
    assert_eq!(changed(c).await, told);
    sees(a, c.id, Belonging::Newcomer).await;
    c.stays_unlinked(A_WHILE).await;
    let old = nodes.pop().unwrap();
    drop(old);
    // With the old roster, as if it had never heard of it.
    let mut back = member("c", &identities[2], &roster, &neighbourhood)
        .start()
        .await;
    assert_eq!(changed(&mut back).await, told);
    back.stays_unlinked(A_WHILE).await;
    assert_eq!(
        nodes[0].handle.remove_member(back.id).await,
        Err(RosterError::NotThere)
    );
    // And it may be paired again.
    let [_, joined] = pair(&mut nodes[0], &mut back).await;
    assert_eq!(joined.members().len(), 3);
    linked([&mut nodes[1], &mut back]).await;
}

#[tokio::test]
async fn a_node_that_was_removed_while_it_was_away_is_told_by_whoever_it_meets() {
    let (identities, before) = cluster(3);
    let mut after = before.clone();
    after
        .remove(&identities[0], identities[2].node_id())
        .unwrap();
    for removed_calls in [true, false] {
        let neighbourhood = Neighbourhood::new();
        let b = member("b", &identities[1], &after, &neighbourhood);
        let c = member("c", &identities[2], &before, &neighbourhood);
        let off = |setup, peers| Setup {
            discovery: crate::Discovery::Off,
            peers,
            ..setup
        };
        let address = |node: &TestNode| vec![node.handle.address().to_string()];
        let (mut b, mut c) = if removed_calls {
            let b = off(b, Vec::new()).start().await;
            let at = address(&b);
            (b, off(c, at).start().await)
        } else {
            let c = off(c, Vec::new()).start().await;
            let at = address(&c);
            (off(b, at).start().await, c)
        };
        let told = RosterChange::Removed {
            by: Some("first".into()),
        };
        assert_eq!(changed(&mut c).await, told);
        b.stays_unlinked(A_WHILE).await;
    }
}

#[tokio::test]
async fn a_node_that_leaves_the_cluster_is_a_newcomer_for_all() {
    let neighbourhood = Neighbourhood::new();
    let (identities, roster) = cluster(2);
    let mut a = member("a", &identities[0], &roster, &neighbourhood)
        .start()
        .await;
    let mut b = member("b", &identities[1], &roster, &neighbourhood)
        .start()
        .await;
    linked([&mut a, &mut b]).await;
    b.handle.leave_cluster().await.unwrap();
    assert_eq!(changed(&mut b).await, RosterChange::Left);
    assert!(!kept(&mut a).await.is_member(b.id));
    sees(&mut a, b.id, Belonging::Newcomer).await;
    b.stays_unlinked(A_WHILE).await;
    assert_eq!(b.handle.leave_cluster().await, Err(RosterError::NotMember));
}

#[tokio::test]
async fn members_of_two_clusters_stay_apart_and_are_told_why() {
    let neighbourhood = Neighbourhood::new();
    let (ours, one) = cluster(1);
    let (theirs, other) = cluster(1);
    let mut a = member("a", &ours[0], &one, &neighbourhood).start().await;
    let mut b = member("b", &theirs[0], &other, &neighbourhood)
        .start()
        .await;
    let ids = [b.id, a.id];
    for (node, id) in [&mut a, &mut b].into_iter().zip(ids) {
        let seen = node.locked().await;
        assert_eq!((seen.node, seen.belongs), (Some(id), Belonging::Elsewhere));
        assert_eq!(
            seen.locked.as_deref(),
            Some("it belongs to another cluster")
        );
    }
    a.handle.pair(b.id).await.unwrap();
    assert_eq!(ended(&mut a).await, PairingEnd::TwoClusters);
    assert!(
        PairingEnd::TwoClusters
            .to_string()
            .contains("leave one of them first")
    );
    a.stays_unlinked(A_WHILE).await;
    b.stays_unlinked(A_WHILE).await;
}

#[tokio::test]
async fn two_members_of_one_cluster_are_not_paired_again() {
    let neighbourhood = Neighbourhood::new();
    let (identities, roster) = cluster(2);
    let mut a = member("a", &identities[0], &roster, &neighbourhood)
        .start()
        .await;
    let mut b = member("b", &identities[1], &roster, &neighbourhood)
        .start()
        .await;
    linked([&mut a, &mut b]).await;
    a.handle.pair(b.id).await.unwrap();
    assert_eq!(ended(&mut a).await, PairingEnd::Together);
}

#[tokio::test]
async fn with_a_key_the_roster_is_not_used() {
    let neighbourhood = Neighbourhood::new();
    let (identities, roster) = cluster(2);
    let keyed = |name, identity: &Identity| Setup {
        identity: identity.clone(),
        roster: Some(roster.clone()),
        ..Setup::among(name, &neighbourhood)
    };
    let mut a = keyed("a", &identities[0]).start().await;
    let mut stranger = keyed("b", &Identity::generate().unwrap()).start().await;
    linked([&mut a, &mut stranger]).await;
    let mut member = member("c", &identities[1], &roster, &neighbourhood)
        .start()
        .await;
    sees(&mut member, a.id, Belonging::Elsewhere).await;
    member.stays_unlinked(A_WHILE).await;
    let removed = a.handle.remove_member(member.id).await;
    assert_eq!(removed, Err(RosterError::NotMember));
}

/// A liar that knows the id of the cluster, and makes up a roster in which it is a member.
#[tokio::test]
async fn a_stranger_with_a_roster_of_its_own_making_stays_out() {
    let (identities, roster) = cluster(2);
    let liar = Identity::generate().unwrap();
    // Signed by itself alone: of another cluster, whatever it is called.
    let mut made_up = Roster::found(&liar, "first", [1; 16]);
    made_up
        .add(&liar, identities[0].node_id(), "first")
        .unwrap();
    let cases = [
        (made_up, "it belongs to another cluster"),
        (roster.clone(), "it does not count this node as a member"),
    ];
    for (roster_of_liar, expected) in cases {
        let mut node = Setup {
            discovery: crate::Discovery::Off,
            ..member("a", &identities[0], &roster, &Neighbourhood::new())
        }
        .start()
        .await;
        let told = lie(node.handle.address(), &liar, &roster, &roster_of_liar).await;
        assert_eq!(told, expected);
        node.stays_unlinked(A_WHILE).await;
        let events = std::iter::from_fn(|| node.events.try_recv().ok());
        assert!(
            !events
                .into_iter()
                .any(|event| matches!(event, NetEvent::RosterChanged(_)))
        );
    }
}

/// Calls as `liar`, says that it belongs to `claimed`, shows `shown`; what it is told.
async fn lie(at: SocketAddr, liar: &Identity, claimed: &Roster, shown: &Roster) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use crate::introduction::{ANSWER_BYTES, Introduction, from_answer};
    use crate::proof::Status;

    let mut stream = super::strangers::connected(at, liar).await;
    let introduction = Introduction {
        port: 1,
        standing: crate::Standing::Member,
        cluster: claimed.cluster(),
    };
    stream.write_all(&introduction.to_hello()).await.unwrap();
    let mut answer = [0; ANSWER_BYTES];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(from_answer(answer), Ok(crate::Standing::Unknown));
    let bytes = shown.to_bytes();
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    stream
        .write_all(&[&length[..], &bytes].concat())
        .await
        .unwrap();
    // Not one byte of the roster here, only the verdict.
    let verdict = super::strangers::what_comes(&mut stream).await;
    let [status] = verdict[..] else {
        panic!("{} bytes", verdict.len());
    };
    Status::read(status).unwrap_err().to_string()
}
