use proptest::prelude::*;

use super::*;

const DIALER: NodeId = NodeId([1; 32]);
const LISTENER: NodeId = NodeId([2; 32]);
const PORT: u16 = 4711;

fn channel(binding: u8) -> Channel {
    Channel {
        dialer: DIALER,
        listener: LISTENER,
        binding: [binding; 32],
    }
}

fn key(text: &str) -> ClusterKey {
    ClusterKey::new(text).unwrap()
}

/// Runs a whole exchange; `alter` may change each message on its way (0 hello, 1 answer, 2 confirm, 3 verdict).
fn exchange(
    (dialer_key, dialer_channel): (Option<&str>, Channel),
    (listener_key, listener_channel): (Option<&str>, Channel),
    mut alter: impl FnMut(usize, &mut [u8]),
) -> (Result<(), ProofError>, Result<u16, ProofError>) {
    let (dialer_key, listener_key) = (dialer_key.map(key), listener_key.map(key));
    let (dialing, mut hello) = match Dialing::start(dialer_channel, dialer_key.as_ref(), PORT) {
        Ok(started) => started,
        Err(error) => return (Err(error), Err(ProofError::Malformed)),
    };
    alter(0, &mut hello);
    let (listening, mut answer) =
        Listening::hello(listener_channel, listener_key.as_ref(), true, &hello);
    alter(1, &mut answer);
    let confirmed = dialing.answer(&answer);
    let (listening, confirmed) = match (listening, confirmed) {
        (Ok(listening), Ok(confirmed)) => (listening, confirmed),
        (listening, confirmed) => {
            let unfinished = ProofError::Malformed;
            return (
                Err(confirmed.err().unwrap_or(unfinished)),
                Err(listening.err().unwrap_or(unfinished)),
            );
        }
    };
    let (dialer, mut confirm) = confirmed;
    alter(2, &mut confirm);
    let port = listening.dialer_port;
    let (listened, mut verdict) = listening.confirm(&confirm);
    alter(3, &mut verdict);
    (dialer.verdict(&verdict), listened.map(|()| port))
}

fn unaltered(_: usize, _: &mut [u8]) {}

#[test]
fn the_same_key_lets_both_in() {
    let both = exchange(
        (Some("a key"), channel(0)),
        (Some("a key"), channel(0)),
        unaltered,
    );
    assert_eq!(both, (Ok(()), Ok(PORT)));
}

#[test]
fn every_message_has_a_small_fixed_size() {
    assert_eq!(
        (HELLO_BYTES, ANSWER_BYTES, CONFIRM_BYTES, VERDICT_BYTES),
        (40, 34, 32, 33)
    );
}

#[test]
fn a_wrong_key_is_refused_on_both_sides_and_named() {
    let both = exchange(
        (Some("a key"), channel(0)),
        (Some("another"), channel(0)),
        unaltered,
    );
    assert_eq!(both, (Err(ProofError::WrongKey), Err(ProofError::WrongKey)));
}

#[test]
fn a_missing_key_is_refused_and_named() {
    let (dialer, listener) = exchange((Some("k"), channel(0)), (None, channel(0)), unaltered);
    assert_eq!(dialer, Err(ProofError::NoKeyThere));
    assert_eq!(listener, Err(ProofError::NoKeyHere));
    let (dialer, _) = exchange((None, channel(0)), (Some("k"), channel(0)), unaltered);
    assert_eq!(dialer, Err(ProofError::NoKeyHere));
}

#[test]
fn an_exchange_relayed_to_another_tls_connection_fails() {
    let both = exchange((Some("k"), channel(0)), (Some("k"), channel(1)), unaltered);
    assert_eq!(both, (Err(ProofError::WrongKey), Err(ProofError::WrongKey)));
}

#[test]
fn an_exchange_between_other_nodes_than_said_fails() {
    let elsewhere = Channel {
        listener: NodeId([3; 32]),
        ..channel(0)
    };
    let both = exchange((Some("k"), channel(0)), (Some("k"), elsewhere), unaltered);
    assert_eq!(both, (Err(ProofError::WrongKey), Err(ProofError::WrongKey)));
}

#[test]
fn a_replayed_exchange_fails() {
    let key = key("k");
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let recorded = exchange(
        (Some("k"), channel(0)),
        (Some("k"), channel(0)),
        |_, message| seen.push(message.to_vec()),
    );
    assert_eq!(recorded, (Ok(()), Ok(PORT)));
    // Even with the same binding, which a real second connection would not have.
    let hello = seen[0].as_slice().try_into().unwrap();
    let (listening, _) = Listening::hello(channel(0), Some(&key), true, hello);
    let confirm = seen[2].as_slice().try_into().unwrap();
    let (refused, verdict) = listening.ok().unwrap().confirm(confirm);
    assert_eq!(refused, Err(ProofError::WrongKey));
    assert_eq!(verdict[1..], [0; 32], "nothing to learn from a refusal");

    let (dialing, _) = Dialing::start(channel(0), Some(&key), PORT).unwrap();
    let (confirmed, _) = dialing
        .answer(seen[1].as_slice().try_into().unwrap())
        .ok()
        .unwrap();
    let verdict = seen[3].as_slice().try_into().unwrap();
    assert_eq!(confirmed.verdict(verdict), Err(ProofError::WrongKey));
}

#[test]
fn a_reflected_exchange_fails() {
    let key = key("k");
    let (dialing, hello) = Dialing::start(channel(0), Some(&key), PORT).unwrap();
    let mut answer = [0; ANSWER_BYTES];
    answer[1..].copy_from_slice(&hello[7..]);
    assert_eq!(dialing.answer(&answer).err(), Some(ProofError::Malformed));

    // A listener's own confirmation does not do for the dialer's, and the other way round.
    let (dialing, hello) = Dialing::start(channel(0), Some(&key), PORT).unwrap();
    let (listening, answer) = Listening::hello(channel(0), Some(&key), true, &hello);
    let (confirmed, confirm) = dialing.answer(&answer).ok().unwrap();
    let mut verdict = [0; VERDICT_BYTES];
    verdict[1..].copy_from_slice(&confirm);
    assert_eq!(confirmed.verdict(&verdict), Err(ProofError::WrongKey));
    drop(listening);
}

#[test]
fn a_listener_that_has_had_enough_says_so() {
    let key = key("k");
    let (dialing, hello) = Dialing::start(channel(0), Some(&key), PORT).unwrap();
    let (listening, answer) = Listening::hello(channel(0), Some(&key), false, &hello);
    assert_eq!(listening.err(), Some(ProofError::TooManyTries));
    assert_eq!(
        dialing.answer(&answer).err(),
        Some(ProofError::TooManyTries)
    );
}

#[test]
fn another_version_is_named() {
    let (dialer, listener) = exchange(
        (Some("k"), channel(0)),
        (Some("k"), channel(0)),
        |step, message| {
            if step == 0 {
                message[4] = VERSION + 1;
            }
        },
    );
    assert_eq!(dialer, Err(ProofError::OtherVersion));
    assert_eq!(listener, Err(ProofError::OtherVersion));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Whatever changes on the way, the exchange ends, without a panic, and the side that saw the change refuses.
    #[test]
    fn a_mutated_message_lets_nobody_in(
        step in 0_usize..4,
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
        rest in prop::option::of(prop::collection::vec(any::<u8>(), 40)),
    ) {
        let (dialer, listener) = exchange(
            (Some("k"), channel(0)),
            (Some("k"), channel(0)),
            |now, message| {
                if now == step {
                    let from = at.index(message.len());
                    message[from] ^= flip;
                    for (byte, noise) in message[from + 1..].iter_mut().zip(rest.iter().flatten()) {
                        *byte = *noise;
                    }
                }
            },
        );
        if step < 3 {
            prop_assert!(listener.is_err());
        }
        prop_assert!(dialer.is_err());
    }
}
