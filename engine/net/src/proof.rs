//! The proof of membership: two nodes show each other that both know the cluster key, without sending it or
//! anything it could be guessed from. Pure: fixed-size messages in and out; the sockets are in `session`.
//!
//! A PAKE (SPAKE2) gives a key only if both started from the same cluster key; each side then confirms it with an
//! HMAC over the whole exchange, both node ids and a secret of the TLS connection it runs on. So an exchange that is
//! reflected, replayed, relayed to another connection, altered or guessed fails, and one exchange tests one guess.
//!
//! ```text
//! dialer   -> listener   hello    version, its listening port, SPAKE2 message
//! listener -> dialer     answer   status, SPAKE2 message
//! dialer   -> listener   confirm  HMAC       the dialer shows first: a listener that does not know the key
//! listener -> dialer     verdict  status, HMAC           gives a guesser nothing to compare with
//! ```

use base::NodeId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use spake2::{Ed25519Group, Identity as Name, Password, Spake2};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::ClusterKey;

/// Version of this exchange and of everything that follows it on a session.
pub(crate) const VERSION: u8 = wire::PROTOCOL_VERSION;
/// Length of the dialer's first message.
pub(crate) const HELLO_BYTES: usize = MAGIC.len() + 1 + 2 + SPAKE_BYTES;
/// Length of the listener's first message.
pub(crate) const ANSWER_BYTES: usize = 1 + SPAKE_BYTES;
/// Length of the dialer's second message.
pub(crate) const CONFIRM_BYTES: usize = HMAC_BYTES;
/// Length of the listener's second message.
pub(crate) const VERDICT_BYTES: usize = 1 + HMAC_BYTES;

/// First bytes of a hello that begins this exchange.
pub(crate) const MAGIC: [u8; 4] = *b"ESPL";
const SPAKE_BYTES: usize = 33;
const HMAC_BYTES: usize = 32;
/// Keeps this use of the cluster key apart from any other.
const DOMAIN: &[u8] = b"espalier membership 1";

/// Why a peer is not let in, or does not let us in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ProofError {
    /// This node has no cluster key.
    #[error("this node has no cluster key")]
    NoKeyHere,
    /// The other one has none.
    #[error("it has no cluster key")]
    NoKeyThere,
    /// The two keys differ, or someone is guessing.
    #[error("wrong cluster key")]
    WrongKey,
    /// Too many wrong keys came from that address lately.
    #[error("too many wrong keys; it listens again in a minute")]
    TooManyTries,
    /// It speaks another version of this exchange.
    #[error("it runs another version of Espalier")]
    OtherVersion,
    /// What came is no message of this exchange.
    #[error("it does not speak Espalier's protocol")]
    Malformed,
    /// This node belongs to no cluster.
    #[error("this node is in no cluster yet")]
    NewcomerHere,
    /// The other one belongs to none.
    #[error("it is in no cluster yet")]
    NewcomerThere,
    /// The two belong to different clusters.
    #[error("it belongs to another cluster")]
    OtherCluster,
    /// This node's roster does not have the other one.
    #[error("it is no member of this cluster")]
    NotMemberThere,
    /// The other one's roster does not have this node.
    #[error("it does not count this node as a member")]
    NotMemberHere,
}

/// The first byte of the listener's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Go,
    NoKey,
    WrongKey,
    TooManyTries,
    OtherVersion,
    Malformed,
    Newcomer,
    OtherCluster,
    NotMember,
}

impl Status {
    const ALL: [Self; 9] = [
        Self::Go,
        Self::NoKey,
        Self::WrongKey,
        Self::TooManyTries,
        Self::OtherVersion,
        Self::Malformed,
        Self::Newcomer,
        Self::OtherCluster,
        Self::NotMember,
    ];

    pub(crate) fn byte(self) -> u8 {
        self as u8
    }

    /// What a listener's status means to the dialer.
    pub(crate) fn read(byte: u8) -> Result<(), ProofError> {
        match Self::ALL.get(usize::from(byte)) {
            Some(Self::Go) => Ok(()),
            Some(Self::NoKey) => Err(ProofError::NoKeyThere),
            Some(Self::WrongKey) => Err(ProofError::WrongKey),
            Some(Self::TooManyTries) => Err(ProofError::TooManyTries),
            Some(Self::OtherVersion) => Err(ProofError::OtherVersion),
            Some(Self::Newcomer) => Err(ProofError::NewcomerThere),
            Some(Self::OtherCluster) => Err(ProofError::OtherCluster),
            Some(Self::NotMember) => Err(ProofError::NotMemberHere),
            Some(Self::Malformed) | None => Err(ProofError::Malformed),
        }
    }

    /// What a listener tells the dialer about its refusal.
    pub(crate) fn of(error: ProofError) -> Self {
        match error {
            ProofError::NoKeyHere => Self::NoKey,
            ProofError::WrongKey => Self::WrongKey,
            ProofError::TooManyTries => Self::TooManyTries,
            ProofError::OtherVersion => Self::OtherVersion,
            ProofError::NewcomerHere => Self::Newcomer,
            ProofError::OtherCluster => Self::OtherCluster,
            ProofError::NotMemberThere | ProofError::NotMemberHere => Self::NotMember,
            // A listener never finds that the dialer has nothing to prove itself with: such a node does not call.
            ProofError::Malformed | ProofError::NoKeyThere | ProofError::NewcomerThere => {
                Self::Malformed
            }
        }
    }
}

/// What an exchange is bound to. Both sides must see the same, or it fails.
#[derive(Clone, Copy)]
pub(crate) struct Channel {
    /// Who called.
    pub(crate) dialer: NodeId,
    /// Who was called.
    pub(crate) listener: NodeId,
    /// A secret of the TLS connection between them.
    pub(crate) binding: [u8; 32],
}

/// A dialer that waits for the listener's answer.
pub(crate) struct Dialing {
    channel: Channel,
    hello: [u8; HELLO_BYTES],
    pake: Spake2<Ed25519Group>,
}

/// A dialer that waits for the listener's verdict.
pub(crate) struct DialerConfirmed {
    expected: Mac256,
}

/// A listener that waits for the dialer's confirmation.
pub(crate) struct Listening {
    expected: Mac256,
    own: Mac256,
    /// Where the dialer says it listens.
    pub(crate) dialer_port: u16,
}

type Mac256 = Hmac<Sha256>;

impl Dialing {
    /// Starts as the side that called. `port` is where this node listens itself, so that it can be called back.
    pub(crate) fn start(
        channel: Channel,
        key: Option<&ClusterKey>,
        port: u16,
    ) -> Result<(Self, [u8; HELLO_BYTES]), ProofError> {
        let key = key.ok_or(ProofError::NoKeyHere)?;
        let (dialer, listener) = names(&channel);
        let (pake, message) = Spake2::start_a(&password(key), &dialer, &listener);
        let mut hello = [0; HELLO_BYTES];
        hello[..4].copy_from_slice(&MAGIC);
        hello[4] = VERSION;
        hello[5..7].copy_from_slice(&port.to_be_bytes());
        hello[7..].copy_from_slice(&message);
        let waiting = Self {
            channel,
            hello,
            pake,
        };
        Ok((waiting, hello))
    }

    /// Takes the listener's answer and gives the confirmation to send.
    pub(crate) fn answer(
        self,
        answer: &[u8; ANSWER_BYTES],
    ) -> Result<(DialerConfirmed, [u8; CONFIRM_BYTES]), ProofError> {
        Status::read(answer[0])?;
        let key = finish(self.pake, &answer[1..])?;
        let (own, expected) = confirmations(&key, &self.channel, &self.hello, answer);
        let confirm = own.finalize().into_bytes().into();
        Ok((DialerConfirmed { expected }, confirm))
    }
}

impl DialerConfirmed {
    /// Takes the listener's verdict; `Ok` means both know the key.
    pub(crate) fn verdict(self, verdict: &[u8; VERDICT_BYTES]) -> Result<(), ProofError> {
        Status::read(verdict[0])?;
        self.expected
            .verify_slice(&verdict[1..])
            .map_err(|_| ProofError::WrongKey)
    }
}

impl Listening {
    /// Takes a dialer's hello and gives the answer to send, which says why if the exchange ends here.
    /// `open` is whether that dialer may try at all now.
    pub(crate) fn hello(
        channel: Channel,
        key: Option<&ClusterKey>,
        open: bool,
        hello: &[u8; HELLO_BYTES],
    ) -> (Result<Self, ProofError>, [u8; ANSWER_BYTES]) {
        match Self::try_hello(channel, key, open, hello) {
            Ok((listening, answer)) => (Ok(listening), answer),
            Err(error) => {
                let mut answer = [0; ANSWER_BYTES];
                answer[0] = Status::of(error).byte();
                (Err(error), answer)
            }
        }
    }

    fn try_hello(
        channel: Channel,
        key: Option<&ClusterKey>,
        open: bool,
        hello: &[u8; HELLO_BYTES],
    ) -> Result<(Self, [u8; ANSWER_BYTES]), ProofError> {
        if hello[..4] != MAGIC {
            return Err(ProofError::Malformed);
        }
        if hello[4] != VERSION {
            return Err(ProofError::OtherVersion);
        }
        let key = key.ok_or(ProofError::NoKeyHere)?;
        if !open {
            return Err(ProofError::TooManyTries);
        }
        let (dialer, listener) = names(&channel);
        let (pake, message) = Spake2::start_b(&password(key), &dialer, &listener);
        let mut answer = [0; ANSWER_BYTES];
        answer[0] = Status::Go.byte();
        answer[1..].copy_from_slice(&message);
        let key = finish(pake, &hello[7..])?;
        let (expected, own) = confirmations(&key, &channel, hello, &answer);
        let listening = Self {
            expected,
            own,
            dialer_port: u16::from_be_bytes([hello[5], hello[6]]),
        };
        Ok((listening, answer))
    }

    /// Takes the dialer's confirmation and gives the verdict to send; only a right one is answered with ours.
    pub(crate) fn confirm(
        self,
        confirm: &[u8; CONFIRM_BYTES],
    ) -> (Result<(), ProofError>, [u8; VERDICT_BYTES]) {
        let mut verdict = [0; VERDICT_BYTES];
        if self.expected.verify_slice(confirm).is_err() {
            verdict[0] = Status::WrongKey.byte();
            return (Err(ProofError::WrongKey), verdict);
        }
        verdict[0] = Status::Go.byte();
        verdict[1..].copy_from_slice(&self.own.finalize().into_bytes());
        (Ok(()), verdict)
    }
}

fn password(key: &ClusterKey) -> Password {
    Password::new([DOMAIN, key.as_bytes()].concat())
}

fn names(channel: &Channel) -> (Name, Name) {
    (Name::new(&channel.dialer.0), Name::new(&channel.listener.0))
}

/// The shared key, the same on both sides only if the cluster keys are.
fn finish(pake: Spake2<Ed25519Group>, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, ProofError> {
    pake.finish(message)
        .map(Zeroizing::new)
        .map_err(|_| ProofError::Malformed)
}

/// The dialer's and the listener's HMAC over all that was said and all it is bound to.
fn confirmations(
    key: &[u8],
    channel: &Channel,
    hello: &[u8; HELLO_BYTES],
    answer: &[u8; ANSWER_BYTES],
) -> (Mac256, Mac256) {
    // Every part has a fixed length, so that no two exchanges give the same bytes.
    let of_role = |role: &[u8; 8]| {
        let mut mac = Mac256::new_from_slice(key).expect("HMAC takes a key of any length");
        mac.update(DOMAIN);
        mac.update(role);
        mac.update(&channel.dialer.0);
        mac.update(&channel.listener.0);
        mac.update(&channel.binding);
        mac.update(hello);
        mac.update(answer);
        mac
    };
    (of_role(b"dialer  "), of_role(b"listener"))
}

#[cfg(test)]
mod tests;
