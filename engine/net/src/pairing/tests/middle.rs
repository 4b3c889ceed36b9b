//! Somebody between two nodes that pair, with a key of its own towards each of them and every strategy that the order of
//! messages leaves open. Seeded, so that a failure fails again.

use super::*;

/// Exchanges that are tried.
const ATTEMPTS: u64 = 1_000_000;
/// So many equal digits are more than chance allows: one is expected, and eleven or more come once in 10^8 runs.
const EQUAL_MAX: u64 = 10;

const LEFT: NodeId = NodeId([1; 32]);
const RIGHT: NodeId = NodeId([2; 32]);
const MIDDLE: NodeId = NodeId([0xee; 32]);

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; NONCE_BYTES];
        for part in nonce.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes());
        }
        nonce
    }
}

/// The digits of an exchange that `starter` starts with the middle, which answers with `answer`.
fn towards_middle(
    starter: NodeId,
    nonce: Nonce,
    answer: &[u8; ANSWER_BYTES],
) -> (Digits, [u8; REVEAL_BYTES]) {
    let (starting, _) = Starting::begin(channel(starter, MIDDLE), Role::Joins, 7, nonce);
    starting.answer("x", answer).unwrap()
}

fn answer_of(nonce: &Nonce) -> [u8; ANSWER_BYTES] {
    let mut answer = [0; ANSWER_BYTES];
    answer[1..].copy_from_slice(nonce);
    answer
}

/// The digits of an exchange that the middle starts with `asked` and plays by the rules.
fn from_middle(asked: NodeId, nonce: Nonce, answer: Nonce) -> Digits {
    let channel = channel(MIDDLE, asked);
    let (starting, hello) = Starting::begin(channel, Role::Joins, 7, nonce);
    let (waiting, answer) = Asked::grant(channel, Role::Joins, &hello, answer);
    let (shown_to_middle, reveal) = starting.answer("x", &answer).unwrap();
    let (digits, _) = waiting.reveal(&reveal).unwrap();
    assert_eq!(digits, shown_to_middle);
    digits
}

/// What the middle does; the digits that the two people see then, if both see any.
fn attempt(dice: &mut Dice) -> Option<(Digits, Digits)> {
    let (left, right) = (dice.nonce(), dice.nonce());
    match dice.next() % 6 {
        // Relays: the commitment binds the left one's name for its partner, and the right one sees another.
        0 => {
            let (starting, hello) = Starting::begin(channel(LEFT, MIDDLE), Role::Joins, 7, left);
            let (asked, answer) = Asked::grant(channel(MIDDLE, RIGHT), Role::Joins, &hello, right);
            let (shown, reveal) = starting.answer("x", &answer).unwrap();
            let refused = asked.reveal(&reveal);
            assert_eq!(refused.err(), Some(PairingEnd::Altered));
            let _ = shown;
            None
        }
        // Finishes on the left, then starts on the right, with the nonces it learnt.
        1 => {
            let (shown, reveal) = towards_middle(LEFT, left, &answer_of(&dice.nonce()));
            let learnt = reveal[..NONCE_BYTES].try_into().unwrap();
            Some((shown, from_middle(RIGHT, learnt, right)))
        }
        // Delays its answer to the left until all is known on the right, and searches for the best one. It has to guess
        // the left one's nonce, which is only committed to.
        2 => {
            let on_the_right = from_middle(RIGHT, dice.nonce(), right);
            let (starting, _) = Starting::begin(channel(LEFT, MIDDLE), Role::Joins, 7, left);
            let guess = dice.nonce();
            let own = (0..4).map(|_| dice.nonce()).find(|own| {
                digits(&channel(LEFT, MIDDLE), Role::Joins, &guess, own) == on_the_right
            });
            let own = own.unwrap_or(right);
            let (shown, _) = starting.answer("x", &answer_of(&own)).unwrap();
            Some((shown, on_the_right))
        }
        // Finishes on the left and searches for the best nonce to commit to on the right, guessing the answer there.
        3 => {
            let (shown, _) = towards_middle(LEFT, left, &answer_of(&dice.nonce()));
            let guess = dice.nonce();
            let own = (0..4)
                .map(|_| dice.nonce())
                .find(|own| digits(&channel(MIDDLE, RIGHT), Role::Joins, own, &guess) == shown);
            Some((shown, from_middle(RIGHT, own.unwrap_or(left), right)))
        }
        // Both start, and it answers the second with what the first sent.
        4 => {
            let (one, reveal) = towards_middle(LEFT, left, &answer_of(&dice.nonce()));
            let learnt = reveal[..NONCE_BYTES].try_into().unwrap();
            let (other, _) = towards_middle(RIGHT, right, &answer_of(&learnt));
            Some((one, other))
        }
        // It starts with both, with one nonce, and lets each wait for the other.
        _ => {
            let own = dice.nonce();
            Some((from_middle(LEFT, own, left), from_middle(RIGHT, own, right)))
        }
    }
}

#[test]
fn somebody_in_the_middle_succeeds_once_in_a_million() {
    let mut dice = Dice(0x0e5b_a11e);
    let (mut equal, mut shown, mut near) = (0, 0, 0_u64);
    for _ in 0..ATTEMPTS {
        if let Some((left, right)) = attempt(&mut dice) {
            shown += 1;
            equal += u64::from(left == right);
            near += u64::from(left.0 % 1000 == right.0 % 1000);
        }
    }
    println!(
        "{shown} of {ATTEMPTS} attempts showed digits on both sides; {equal} the same, {near} the same last three"
    );
    assert!(equal <= EQUAL_MAX, "{equal}");
    // The count can fail: three digits are the same about once in a thousand (five standard deviations either way).
    let expected = shown / 1000;
    assert!(near.abs_diff(expected) < 5 * expected.isqrt(), "{near}");
}

/// Why there is a commitment: whoever knows the starter's nonce before it answers finds an answer that fits.
#[test]
fn without_the_commitment_it_would_be_a_matter_of_seconds() {
    let mut dice = Dice(7);
    let (left, right) = (dice.nonce(), dice.nonce());
    let wanted = from_middle(RIGHT, dice.nonce(), right);
    let channel = channel(LEFT, MIDDLE);
    // The last three digits alone, to be quick.
    let found = (0..20_000)
        .map(|_| dice.nonce())
        .find(|own| digits(&channel, Role::Joins, &left, own).0 % 1000 == wanted.0 % 1000);
    assert!(found.is_some());
}
