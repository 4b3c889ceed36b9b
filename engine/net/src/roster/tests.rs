use std::sync::LazyLock;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

/// Always the same key pairs, so that a failing case fails again.
static NODES: LazyLock<Vec<Identity>> = LazyLock::new(|| {
    let of = |seed| Identity::from_seed(Zeroizing::new([seed; 32])).unwrap();
    (1..=6).map(of).collect()
});

fn node(number: usize) -> &'static Identity {
    &NODES[number]
}

fn id(number: usize) -> NodeId {
    node(number).node_id()
}

/// A cluster that node 0 founded and to which it added 1, 2, ... in turn.
fn cluster(size: usize) -> Roster {
    let mut roster = Roster::found(node(0), "founder", [7; 16]);
    for number in 1..size {
        roster.add(node(0), id(number), "added").unwrap();
    }
    roster
}

fn members(roster: &Roster) -> Vec<usize> {
    let number = |member: Member| (0..NODES.len()).find(|at| id(*at) == member.node).unwrap();
    roster.members().into_iter().map(number).collect()
}

fn merged(one: &Roster, other: &Roster) -> Roster {
    let mut merged = one.clone();
    merged.merge(other).unwrap();
    merged
}

/// A statement that no honest node would make.
fn forge(roster: &Roster, signer: usize, previous: Hash, height: u32, action: Action) -> Roster {
    let mut all = roster.statements.clone();
    let forged = Statement::sign(node(signer), previous, height, action);
    all.insert(forged.hash, forged);
    Roster::of(all).expect("the forgery refers to what is there")
}

fn add(number: usize) -> Action {
    let name = name_of("sneaked in");
    Action::Add {
        node: id(number).0,
        name,
    }
}

#[test]
fn members_add_each_other_and_names_are_kept() {
    let mut roster = cluster(2);
    roster.add(node(1), id(2), "  Anna's\u{202e} Mac ").unwrap();
    assert_eq!(members(&roster), [0, 1, 2]);
    let last = roster.members().pop().unwrap();
    assert_eq!((last.name.as_str(), last.added_by), ("Anna's Mac", id(1)));
    assert_eq!(
        roster.add(node(0), id(2), "again"),
        Err(RosterError::AlreadyMember)
    );
    assert_eq!(
        roster.add(node(4), id(5), "by a stranger"),
        Err(RosterError::NotMember)
    );
    assert_eq!(roster.remove(node(0), id(5)), Err(RosterError::NotThere));
    assert_eq!(Roster::from_bytes(&roster.to_bytes()), Ok(roster));
}

#[test]
fn a_removed_node_is_out_with_all_it_says_from_then_on() {
    let before = cluster(3);
    let mut after = before.clone();
    after.remove(node(1), id(2)).unwrap();
    assert_eq!(members(&after), [0, 1]);
    assert_eq!(after.standing(id(2)), Standing::Former);
    assert_eq!(after.removed_by(id(2)), Some(id(1)));
    assert_eq!(after.add(node(2), id(3), "x"), Err(RosterError::NotMember));
    // It has not heard of it, or acts as if.
    let mut elsewhere = before.clone();
    elsewhere.add(node(2), id(3), "x").unwrap();
    elsewhere.remove(node(2), id(1)).unwrap();
    elsewhere.remove(node(2), id(0)).unwrap();
    assert_eq!(members(&merged(&after, &elsewhere)), [0, 1]);
    assert_eq!(merged(&after, &elsewhere), merged(&elsewhere, &after));
}

#[test]
fn back_dated_statements_do_not_undo_a_removal() {
    let mut roster = cluster(3);
    roster.add(node(2), id(3), "before").unwrap();
    let began = roster.membership(id(2)).unwrap();
    let early = roster.statements[&began].content.height + 1;
    roster.remove(node(1), id(2)).unwrap();
    assert_eq!(members(&roster), [0, 1, 3], "what it did before stands");
    let cut_at = roster.membership(id(1)).unwrap();
    let mut judged = 0;
    for previous in [began, roster.membership(id(3)).unwrap()] {
        for height in [early, early + 1, early + 50] {
            let remove = Action::Remove {
                began: cut_at,
                last: cut_at,
            };
            for action in [add(4), remove] {
                let all = roster.statements.clone();
                let forged = Statement::sign(node(2), previous, height, action);
                let all = all.into_iter().chain([(forged.hash, forged)]);
                // Too early to build on what it builds on, or of no effect.
                let Ok(forged) = Roster::of(all.collect()) else {
                    continue;
                };
                assert_eq!(members(&forged), [0, 1, 3]);
                judged += 1;
            }
        }
    }
    assert_eq!(
        judged, 10,
        "two claim to be no younger than what they build on"
    );
}

#[test]
fn of_two_that_remove_each_other_the_one_added_earlier_stays() {
    let before = cluster(4);
    for (elder, younger) in [(0, 2), (1, 2), (2, 3)] {
        let (mut one, mut other) = (before.clone(), before.clone());
        one.remove(node(elder), id(younger)).unwrap();
        other.remove(node(younger), id(elder)).unwrap();
        let both = merged(&one, &other);
        assert_eq!(both, merged(&other, &one));
        assert!(both.is_member(id(elder)) && !both.is_member(id(younger)));
    }
}

#[test]
fn a_circle_of_removals_is_decided_by_age() {
    let before = cluster(3);
    let mut all = before.clone();
    for (signer, out) in [(0, 1), (1, 2), (2, 0)] {
        let mut one = before.clone();
        one.remove(node(signer), id(out)).unwrap();
        all.merge(&one).unwrap();
    }
    // 0 removed 1 before 1's removal of 2 could count; so 2 is in, and its removal of 0 counts.
    assert_eq!(members(&all), [2]);
}

#[test]
fn a_removed_node_can_be_added_again() {
    let mut roster = cluster(3);
    let mut unheard = roster.clone();
    unheard.add(node(2), id(4), "void").unwrap();
    roster.remove(node(0), id(2)).unwrap();
    roster.add(node(1), id(2), "back").unwrap();
    assert_eq!(members(&roster), [0, 1, 2]);
    roster
        .add(node(2), id(3), "by the one that is back")
        .unwrap();
    let all = merged(&roster, &unheard);
    assert_eq!(members(&all), [0, 1, 2, 3], "the old life stays over");
    assert_eq!(all.removed_by(id(2)), None);
}

#[test]
fn two_additions_at_once_are_both_ended_by_one_removal() {
    let before = cluster(2);
    let (mut one, mut other) = (before.clone(), before);
    one.add(node(0), id(2), "by 0").unwrap();
    other.add(node(1), id(2), "by 1").unwrap();
    let mut both = merged(&one, &other);
    assert_eq!(members(&both), [0, 1, 2]);
    both.remove(node(0), id(2)).unwrap();
    assert_eq!(members(&both), [0, 1]);
    // The last one out.
    both.remove(node(0), id(1)).unwrap();
    both.remove(node(0), id(0)).unwrap();
    assert_eq!(members(&both), [] as [usize; 0]);
}

#[test]
fn nothing_that_a_removed_senior_says_is_heard_from_itself() {
    let before = cluster(3);
    let mut after = before.clone();
    after.remove(node(1), id(0)).unwrap();
    let mut answer = before.clone();
    answer.remove(node(0), id(1)).unwrap();
    assert!(
        merged(&after, &answer).is_member(id(0)),
        "it is the senior: were this heard, it would be back"
    );
    let mut hearing = after.clone();
    assert_eq!(hearing.hear(&answer, id(0)), Err(RosterError::NotMember));
    assert_eq!(hearing, after);
    // Nor what it has others say that it added itself.
    let mut through_another = before;
    through_another.add(node(0), id(4), "its creature").unwrap();
    through_another.remove(node(4), id(1)).unwrap();
    assert_eq!(
        hearing.hear(&through_another, id(0)),
        Err(RosterError::NotMember)
    );
    assert_eq!(
        hearing.hear(&through_another, id(4)),
        Err(RosterError::NotMember)
    );
}

#[test]
fn a_new_member_is_heard_of_from_itself() {
    let old = cluster(2);
    let mut new = old.clone();
    new.add(node(1), id(2), "new").unwrap();
    let mut hearing = old.clone();
    assert_eq!(hearing.hear(&new, id(2)), Ok(true));
    assert_eq!(members(&hearing), [0, 1, 2]);
    assert_eq!(hearing.hear(&new, id(2)), Ok(false));
    let other = Roster::found(node(2), "other", [8; 16]);
    assert_eq!(hearing.hear(&other, id(2)), Err(RosterError::OtherCluster));
    let mut hearing = old;
    assert_eq!(hearing.hear(&new, id(3)), Err(RosterError::NotMember));
}

#[test]
fn forged_statements_are_no_roster() {
    let roster = cluster(2);
    let began = roster.membership(id(1)).unwrap();
    let foundation = roster.cluster().0;
    let sign = |signer, previous, height, action| {
        let mut all = roster.statements.clone();
        let forged = Statement::sign(node(signer), previous, height, action);
        all.insert(forged.hash, forged);
        Roster::of(all).err()
    };
    let refused = Some(RosterError::Malformed);
    assert_eq!(sign(2, began, 9, add(3)), refused, "by a stranger");
    assert_eq!(sign(1, foundation, 9, add(3)), refused, "as the founder");
    assert_eq!(
        sign(1, began, 1, add(3)),
        refused,
        "not after its own beginning"
    );
    assert_eq!(sign(1, began, 9, add(1)), refused, "itself");
    assert_eq!(sign(1, [9; 32], 9, add(3)), refused, "out of nothing");
    let name = name_of("second");
    let found = Action::Found {
        name,
        salt: [1; 16],
    };
    assert_eq!(sign(2, [0; 32], 0, found.clone()), refused);
    assert_eq!(sign(1, began, 9, found), refused);
    for (began, last) in [([9; 32], began), (began, foundation), (began, [9; 32])] {
        let remove = Action::Remove { began, last };
        assert_eq!(sign(0, foundation, 9, remove), refused);
    }
    assert_eq!(members(&forge(&roster, 1, began, 9, add(3))), [0, 1, 3]);
    // Right in itself, signed by somebody else.
    let mut signed = roster
        .statements
        .values()
        .map(Statement::to_wire)
        .collect::<Vec<_>>();
    signed[1].content.signer = id(3).0;
    let bytes = wire::roster::to_bytes(signed).unwrap();
    assert_eq!(Roster::from_bytes(&bytes), Err(RosterError::Malformed));
}

#[test]
fn a_full_roster_can_still_lose_members() {
    let mut roster = cluster(2);
    let mut number = 0_u16;
    let full = loop {
        let mut name = [9; 32];
        name[..2].copy_from_slice(&number.to_be_bytes());
        number += 1;
        if let Err(error) = roster.add(node(1), NodeId(name), &"long ".repeat(20)) {
            break error;
        }
    };
    assert_eq!(full, RosterError::Full);
    assert!(roster.members().len() > 200);
    assert!(roster.to_bytes().len() <= Roster::BYTES_MAX);
    roster.remove(node(0), id(1)).unwrap();
    assert!(!roster.is_member(id(1)));
    assert_eq!(Roster::from_bytes(&roster.to_bytes()), Ok(roster));
}

#[test]
fn a_flood_does_not_keep_a_removal_out() {
    let before = cluster(3);
    let mut after = before.clone();
    after.remove(node(0), id(2)).unwrap();
    let mut flooded = before;
    let mut previous = flooded.membership(id(2)).unwrap();
    let mut all = flooded.statements.clone();
    for height in 10.. {
        if all.len() == STATEMENTS_MAX {
            break;
        }
        let mut creature = [9; 32];
        creature[..4].copy_from_slice(&u32::to_be_bytes(height));
        let name = name_of("x");
        let add = Action::Add {
            node: creature,
            name,
        };
        let junk = Statement::sign(node(2), previous, height, add);
        previous = junk.hash;
        all.insert(junk.hash, junk);
    }
    flooded = Roster::of(all).unwrap();
    assert!(flooded.members().len() > 200);
    assert_eq!(flooded.merge(&after), Ok(true));
    assert_eq!(members(&flooded), [0, 1]);
    assert_eq!(flooded, after, "the flood is gone");
}

/// What happens in a cluster: who does what, and who hears of whose roster.
#[derive(Debug, Clone)]
enum Deed {
    Add(usize, usize),
    Remove(usize, usize),
    Tell(usize, usize),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let two = || (0..NODES.len(), 0..NODES.len());
    let deed = prop_oneof![
        two().prop_map(|(by, who)| Deed::Add(by, who)),
        two().prop_map(|(by, who)| Deed::Remove(by, who)),
        two().prop_map(|(from, to)| Deed::Tell(from, to)),
    ];
    prop::collection::vec(deed, 0..40)
}

/// Everyone's roster after some deeds, each in its own view of the cluster; not everything that is tried is allowed.
fn views(deeds: &[Deed]) -> Vec<Roster> {
    let mut views = vec![cluster(3); NODES.len()];
    for deed in deeds {
        match *deed {
            Deed::Add(by, who) => drop(views[by].add(node(by), id(who), "x")),
            Deed::Remove(by, who) => drop(views[by].remove(node(by), id(who))),
            Deed::Tell(from, to) => {
                let told = views[from].clone();
                views[to].merge(&told).unwrap();
            }
        }
    }
    views
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_order_of_arrival_gives_the_same_members(deeds in deeds(), order in Just((0..6).collect::<Vec<_>>()).prop_shuffle()) {
        let views = views(&deeds);
        let [a, b, c] = [0, 1, 2].map(|at| &views[order[at]]);
        prop_assert_eq!(merged(a, b), merged(b, a));
        prop_assert_eq!(merged(&merged(a, b), c), merged(a, &merged(b, c)));
        prop_assert_eq!(merged(a, a), a.clone());
        let in_order = |order: &[usize]| {
            order.iter().fold(cluster(3), |all, at| merged(&all, &views[*at]))
        };
        let (one, other) = (in_order(&order), in_order(&[0, 1, 2, 3, 4, 5]));
        prop_assert_eq!(one.members(), other.members());
        prop_assert_eq!(&Roster::from_bytes(&one.to_bytes()), &Ok(other));
        // What is needed alone gives the same verdict.
        let needed = one.verdict.needed(&one.statements);
        let mut kept = one.statements.clone();
        kept.retain(|hash, _| needed.contains(hash));
        prop_assert_eq!(Roster::of(kept).unwrap().members(), one.members());
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Roster::from_bytes(&bytes).is_err());
        prop_assert!(Roster::from_bytes(&[&[1], &bytes[..]].concat()).is_err());
    }

    #[test]
    fn a_changed_byte_is_noticed(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let mut roster = cluster(3);
        roster.remove(node(1), id(2)).unwrap();
        let mut bytes = roster.to_bytes();
        bytes[at.index(roster.to_bytes().len())] ^= flip;
        prop_assert!(Roster::from_bytes(&bytes).is_err());
    }
}
