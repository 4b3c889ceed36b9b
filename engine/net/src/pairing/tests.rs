use proptest::prelude::*;

use super::agreement::{Act, Agreement, Input, Word, joinable};
use super::door::{Door, Household};
use super::*;
use crate::limits::{PAIRINGS_ASKED_MAX, PAIRINGS_ASKED_WINDOW};

mod middle;

const STARTER: NodeId = NodeId([1; 32]);
const ASKED: NodeId = NodeId([2; 32]);

fn channel(dialer: NodeId, listener: NodeId) -> Channel {
    Channel {
        dialer,
        listener,
        binding: [3; 32],
    }
}

fn straight() -> Channel {
    channel(STARTER, ASKED)
}

type Outcome<T> = Result<T, PairingEnd>;

/// A whole exchange; `alter` may change each message on its way (0 hello, 1 answer, 2 reveal).
fn exchange(
    (starter_channel, asked_channel): (Channel, Channel),
    mut alter: impl FnMut(usize, &mut [u8]),
) -> (Outcome<Digits>, Outcome<(Digits, String)>) {
    let (starting, mut hello) = Starting::begin(starter_channel, Role::Joins, 7, [4; 32]);
    alter(0, &mut hello);
    let granted = Asked::wish(&hello).and_then(|role| {
        Household::Member.asked_by(role)?;
        Ok(Asked::grant(asked_channel, role, &hello, [5; 32]))
    });
    let (asked, mut answer) = match granted {
        Ok((asked, answer)) => (Ok(asked), answer),
        Err(end) => (Err(end), Asked::refuse(end)),
    };
    alter(1, &mut answer);
    match (starting.answer("Anna's Mac", &answer), asked) {
        (Ok((digits, mut reveal)), Ok(asked)) => {
            alter(2, &mut reveal);
            (Ok(digits), asked.reveal(&reveal))
        }
        (Err(end), Ok(_)) => (Err(end), Err(PairingEnd::Broken)),
        (Ok(_), Err(end)) => (Err(PairingEnd::Broken), Err(end)),
        (Err(one), Err(other)) => (Err(one), Err(other)),
    }
}

fn unaltered(_: usize, _: &mut [u8]) {}

#[test]
fn both_sides_see_the_same_six_digits_and_the_name() {
    let (one, other) = exchange((straight(), straight()), unaltered);
    let (digits, name) = other.unwrap();
    assert_eq!((one, name.as_str()), (Ok(digits), "Anna's Mac"));
    assert_eq!(digits.to_string().len(), 6);
    assert!(
        digits
            .to_string()
            .bytes()
            .all(|digit| digit.is_ascii_digit())
    );
}

#[test]
fn every_message_has_a_small_fixed_size() {
    assert_eq!((HELLO_BYTES, ANSWER_BYTES, REVEAL_BYTES), (40, 33, 97));
}

#[test]
fn an_exchange_carried_to_another_connection_or_node_ends() {
    let other_tls = Channel {
        binding: [9; 32],
        ..straight()
    };
    for elsewhere in [
        other_tls,
        channel(STARTER, NodeId([9; 32])),
        channel(NodeId([9; 32]), ASKED),
    ] {
        let (_, asked) = exchange((straight(), elsewhere), unaltered);
        assert_eq!(asked, Err(PairingEnd::Altered));
    }
}

#[test]
fn a_replayed_exchange_gives_other_digits_and_a_reflected_one_ends() {
    let (mut seen, mut digits) = (Vec::new(), None);
    if let (Ok(shown), Ok(_)) = exchange((straight(), straight()), |_, message| {
        seen.push(message.to_vec());
    }) {
        digits = Some(shown);
    }
    // The same starter's messages again: the nonce of the node that is asked is another one, and so are the digits.
    let hello: [u8; HELLO_BYTES] = seen[0].as_slice().try_into().unwrap();
    let reveal = seen[2].as_slice().try_into().unwrap();
    let (asked, _) = Asked::grant(straight(), Role::Joins, &hello, [6; 32]);
    assert_ne!(asked.reveal(reveal).ok().map(|(again, _)| again), digits);
    // A starter that is sent its own messages back.
    let back = channel(ASKED, STARTER);
    let (asked, _) = Asked::grant(back, Role::Joins, &hello, [5; 32]);
    assert_eq!(asked.reveal(reveal).err(), Some(PairingEnd::Altered));
    let (starting, hello) = Starting::begin(straight(), Role::Joins, 7, [4; 32]);
    let reflected = hello[..ANSWER_BYTES].try_into().unwrap();
    assert_eq!(
        starting.answer("x", reflected).err(),
        Some(PairingEnd::Altered)
    );
}

#[test]
fn refusals_are_named_on_both_sides() {
    let known = [
        PairingEnd::BusyHere,
        PairingEnd::TooMany,
        PairingEnd::KeyHere,
        PairingEnd::TwoClusters,
        PairingEnd::Changed,
        PairingEnd::OtherVersion,
        PairingEnd::Altered,
        PairingEnd::Leaving,
    ];
    let told: Vec<_> = known
        .into_iter()
        .map(|refusal| {
            let (starting, _) = Starting::begin(straight(), Role::Joins, 7, [4; 32]);
            starting.answer("x", &Asked::refuse(refusal)).unwrap_err()
        })
        .collect();
    assert_eq!(
        told,
        [
            PairingEnd::BusyThere,
            PairingEnd::TooMany,
            PairingEnd::KeyThere,
            PairingEnd::TwoClusters,
            PairingEnd::Changed,
            PairingEnd::OtherVersion,
            PairingEnd::Altered,
            PairingEnd::Broken,
        ]
    );
}

#[test]
fn who_joins_whom() {
    use Household::{Keyed, Member, Newcomer};
    let cases = [
        (Newcomer, Newcomer, Ok((Role::LetsIn, Role::Joins))),
        (Newcomer, Member, Ok((Role::Joins, Role::LetsIn))),
        (Member, Newcomer, Ok((Role::LetsIn, Role::Joins))),
        (Member, Member, Err(PairingEnd::TwoClusters)),
        (Keyed, Newcomer, Err(PairingEnd::KeyHere)),
        (Newcomer, Keyed, Err(PairingEnd::KeyThere)),
    ];
    for (starter, asked, expected) in cases {
        let roles = starter
            .start_with(asked)
            .and_then(|role| Ok((role, asked.asked_by(role)?)));
        assert_eq!(roles, expected, "{starter:?} starts with {asked:?}");
    }
    assert_eq!(Newcomer.asked_by(Role::Joins), Err(PairingEnd::Changed));
    assert_eq!(Keyed.asked_by(Role::Joins), Err(PairingEnd::KeyHere));
}

#[test]
fn few_may_ask_in_a_minute() {
    let (mut door, now) = (Door::default(), std::time::Instant::now());
    for count in 0..PAIRINGS_ASKED_MAX {
        let expected = if count == 0 {
            Ok(())
        } else {
            Err(PairingEnd::BusyHere)
        };
        assert_eq!(door.knock(count > 0, now), expected);
    }
    for _ in 0..1000 {
        assert_eq!(door.knock(false, now), Err(PairingEnd::TooMany));
    }
    assert_eq!(door.knock(false, now + PAIRINGS_ASKED_WINDOW), Ok(()));
}

/// Both sides of an agreement and what is on the way between them.
fn settle(first: Input, second: Input) -> [Vec<Act>; 2] {
    let mut sides = [Role::LetsIn, Role::Joins].map(Agreement::new);
    let mut acts = [Vec::new(), Vec::new()];
    let mut inputs = vec![(0, first), (1, second)];
    while !inputs.is_empty() {
        let (at, input) = inputs.remove(0);
        for act in sides[at].on(input) {
            acts[at].push(act);
            match act {
                Act::Send(word) => inputs.push((1 - at, Input::Word(word.byte()))),
                Act::HandOver => inputs.push((1, Input::Word(Word::Roster.byte()))),
                Act::TakeRoster => inputs.push((at, Input::Came { good: true })),
                Act::Finish | Act::End(_) => {}
            }
        }
    }
    acts
}

#[test]
fn both_must_say_yes_before_the_roster_is_handed_over() {
    let [member, newcomer] = settle(Input::Confirm, Input::Confirm);
    assert_eq!(member, [Act::Send(Word::Yes), Act::HandOver, Act::Finish]);
    assert_eq!(
        newcomer,
        [
            Act::Send(Word::Yes),
            Act::TakeRoster,
            Act::Send(Word::Joined),
            Act::Finish
        ]
    );
    let mut alone = Agreement::new(Role::LetsIn);
    assert_eq!(alone.on(Input::Confirm), [Act::Send(Word::Yes)]);
    assert_eq!(
        alone.on(Input::Confirm),
        [],
        "a second click is no second yes"
    );
    assert_eq!(alone.yeses(), (true, false));
}

#[test]
fn any_end_is_an_end_with_a_reason_on_both_sides() {
    let cases = [
        (
            Input::Cancel,
            PairingEnd::CancelledHere,
            PairingEnd::CancelledThere,
        ),
        (Input::TimeUp, PairingEnd::TimedOut, PairingEnd::TimedOut),
        (
            Input::Word(0),
            PairingEnd::Altered,
            PairingEnd::CancelledThere,
        ),
        (
            Input::Word(Word::Joined.byte()),
            PairingEnd::Altered,
            PairingEnd::CancelledThere,
        ),
    ];
    for (input, here, there) in cases {
        let [one, other] = settle(input, Input::Confirm);
        assert_eq!(one.last(), Some(&Act::End(here)), "{input:?}");
        assert_eq!(other.last(), Some(&Act::End(there)), "{input:?}");
        assert!(!one.contains(&Act::HandOver) && !other.contains(&Act::TakeRoster));
    }
    let mut alone = Agreement::new(Role::Joins);
    assert_eq!(alone.on(Input::Gone), [Act::End(PairingEnd::Broken)]);
    assert_eq!(alone.on(Input::Confirm), [], "it is over");
}

#[test]
fn a_roster_that_is_not_good_is_not_joined() {
    let mut member = Agreement::new(Role::LetsIn);
    let mut newcomer = Agreement::new(Role::Joins);
    for side in [&mut member, &mut newcomer] {
        side.on(Input::Word(Word::Yes.byte()));
        side.on(Input::Confirm);
    }
    assert_eq!(
        newcomer.on(Input::Word(Word::Roster.byte())),
        [Act::TakeRoster]
    );
    let acts = newcomer.on(Input::Came { good: false });
    assert_eq!(
        acts,
        [Act::Send(Word::NoRoster), Act::End(PairingEnd::BadRoster)]
    );
    let acts = member.on(Input::Word(Word::NoRoster.byte()));
    assert_eq!(acts, [Act::End(PairingEnd::BadRoster)]);
}

#[test]
fn a_roster_without_one_of_the_two_is_not_joinable() {
    let [one, other, third] = [(); 3].map(|()| crate::Identity::generate().unwrap());
    let mut roster = crate::Roster::found(&one, "one", [1; 16]);
    let pair = |here: &crate::Identity, there: &crate::Identity| (here.node_id(), there.node_id());
    let joined = |roster: &crate::Roster, (here, there)| joinable(roster.clone(), here, there);
    assert_eq!(joined(&roster, pair(&other, &one)), None);
    roster.add(&one, other.node_id(), "other").unwrap();
    assert_eq!(joined(&roster, pair(&other, &one)), Some(roster.clone()));
    assert_eq!(joined(&roster, pair(&other, &third)), None);
    assert_eq!(joined(&roster, pair(&third, &one)), None);
    roster.remove(&one, other.node_id()).unwrap();
    assert_eq!(joined(&roster, pair(&other, &one)), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    /// Whatever changes on the way, nothing panics, and nobody sees the same digits after it.
    #[test]
    fn a_mutated_message_gives_no_equal_digits(
        step in 0_usize..3,
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let (one, other) = exchange((straight(), straight()), |now, message| {
            // The port and the name are not part of what is agreed on.
            let agreed = match now { 0 | 1 => message.len(), _ => NONCE_BYTES };
            let from = at.index(agreed);
            if now == step && !(now == 0 && (5..7).contains(&from)) {
                message[from] ^= flip;
            }
        });
        let altered = !(step == 0 && (5..7).contains(&at.index(HELLO_BYTES)));
        if let (Ok(one), Ok((other, _)), true) = (one, other, altered) {
            prop_assert_ne!(one, other);
        }
    }

    /// An agreement ends at most once, and hands over or finishes only after a yes from both.
    #[test]
    fn any_inputs_in_any_order_end_at_most_once(bytes in prop::collection::vec((0_u8..7, any::<u8>()), 0..12), lets_in in any::<bool>()) {
        let mut side = Agreement::new(if lets_in { Role::LetsIn } else { Role::Joins });
        let (mut here, mut there, mut ends) = (false, false, 0);
        for (kind, byte) in bytes {
            let input = match kind {
                0 => Input::Confirm,
                1 => Input::Word(byte % 8),
                2 => Input::Word(Word::Yes.byte()),
                3 => Input::Came { good: byte % 2 == 0 },
                4 => Input::Word([Word::Joined, Word::Roster][usize::from(byte % 2)].byte()),
                5 => Input::CannotHandOver(PairingEnd::BadRoster),
                _ if byte < 200 => continue,
                _ => Input::Cancel,
            };
            here |= input == Input::Confirm;
            there |= input == Input::Word(Word::Yes.byte());
            for act in side.on(input) {
                prop_assert_eq!(ends, 0);
                match act {
                    Act::HandOver | Act::TakeRoster => prop_assert!(here && there),
                    Act::Finish => { prop_assert!(here && there); ends += 1; }
                    Act::End(_) => ends += 1,
                    Act::Send(_) => {}
                }
            }
        }
    }
}
