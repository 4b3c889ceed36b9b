//! The proof of membership by roster: TLS has proven both keys, so all there is to say is whom each side's roster has.
//! Pure: fixed-size messages in and out; the sockets are in `session`.
//!
//! ```text
//! dialer   -> listener   hello     version, its listening port, what the listener is to it, its cluster
//! listener -> dialer     answer    status, what the dialer is to it
//! ```
//!
//! Two that have each other are done. If not, one of them has not heard of a change yet: each shows its roster to the
//! other if it has that node in it, as a member or as a former one; nobody else ever gets to see it. So a new member gets
//! in when the member that added it is away, and one that was removed while it was away learns it, with the evidence.
//!
//! ```text
//! dialer   -> listener   length, roster (or nothing)
//! listener -> dialer     length, roster (or nothing), status
//! ```

use crate::proof::{HELLO_BYTES, ProofError, Status, VERSION};
use crate::{ClusterId, Standing};

/// First bytes of a hello that begins this exchange.
pub(crate) const MAGIC: [u8; 4] = *b"ESPR";
/// Length of the answer.
pub(crate) const ANSWER_BYTES: usize = 2;

/// What a dialer says of itself and of the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// Where it listens.
    pub(crate) port: u16,
    /// What the listener is to its cluster.
    pub(crate) standing: Standing,
    /// Its cluster.
    pub(crate) cluster: ClusterId,
}

impl Introduction {
    pub(crate) fn to_hello(self) -> [u8; HELLO_BYTES] {
        let mut hello = [0; HELLO_BYTES];
        hello[..4].copy_from_slice(&MAGIC);
        hello[4] = VERSION;
        hello[5..7].copy_from_slice(&self.port.to_be_bytes());
        hello[7] = standing_byte(self.standing);
        hello[8..].copy_from_slice(&self.cluster.0);
        hello
    }

    pub(crate) fn from_hello(hello: &[u8; HELLO_BYTES]) -> Result<Self, ProofError> {
        if hello[..4] != MAGIC {
            return Err(ProofError::Malformed);
        }
        if hello[4] != VERSION {
            return Err(ProofError::OtherVersion);
        }
        Ok(Self {
            port: u16::from_be_bytes([hello[5], hello[6]]),
            standing: read_standing(hello[7]).ok_or(ProofError::Malformed)?,
            cluster: ClusterId(hello[8..].try_into().expect("a hello ends with 32 bytes")),
        })
    }
}

/// The listener's answer: what the dialer is to it, or why it goes no further.
pub(crate) fn to_answer(answer: Result<Standing, ProofError>) -> [u8; ANSWER_BYTES] {
    match answer {
        Ok(standing) => [Status::Go.byte(), standing_byte(standing)],
        Err(error) => [Status::of(error).byte(), 0],
    }
}

pub(crate) fn from_answer(answer: [u8; ANSWER_BYTES]) -> Result<Standing, ProofError> {
    Status::read(answer[0])?;
    read_standing(answer[1]).ok_or(ProofError::Malformed)
}

fn standing_byte(standing: Standing) -> u8 {
    match standing {
        Standing::Unknown => 0,
        Standing::Member => 1,
        Standing::Former => 2,
    }
}

fn read_standing(byte: u8) -> Option<Standing> {
    [Standing::Unknown, Standing::Member, Standing::Former]
        .into_iter()
        .find(|standing| standing_byte(*standing) == byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn introductions_arrive() {
        for standing in [Standing::Unknown, Standing::Member, Standing::Former] {
            let introduction = Introduction {
                port: 4711,
                standing,
                cluster: ClusterId([7; 32]),
            };
            let read = Introduction::from_hello(&introduction.to_hello());
            assert_eq!(read, Ok(introduction));
            assert_eq!(from_answer(to_answer(Ok(standing))), Ok(standing));
        }
        let told = from_answer(to_answer(Err(ProofError::NotMemberThere)));
        assert_eq!(told, Err(ProofError::NotMemberHere));
        let told = from_answer(to_answer(Err(ProofError::NewcomerHere)));
        assert_eq!(told, Err(ProofError::NewcomerThere));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(hello in prop::collection::vec(any::<u8>(), HELLO_BYTES), valid in 0..9_usize, answer in any::<[u8; 2]>()) {
            let mut bytes: [u8; HELLO_BYTES] = hello.try_into().expect("as many");
            bytes[..4].copy_from_slice(&MAGIC);
            bytes[4] = VERSION;
            bytes[7] = valid as u8;
            prop_assert_eq!(Introduction::from_hello(&bytes).is_ok(), valid < 3);
            let _ = from_answer(answer);
        }
    }
}
