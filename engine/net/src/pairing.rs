//! Pairing: two nodes that share nothing make sure, with the eyes of the people before them, that nobody is in between.
//! Pure: fixed-size messages in and out; the sockets are in `session`.
//!
//! TLS has proven which key is at the other end, not whose computer that is: someone in the middle would have a key too,
//! one towards each side. So both screens show six digits made of both keys, and people compare them. Six digits could be
//! searched through, were there anything to search: therefore the side that starts first commits to its nonce, and opens
//! the commitment only when it has the other's. Someone in the middle must settle on all its nonces before it can know the
//! digits, and has one chance in a million for each attempt. (Vaudenay, "Secure Communications over Insecure Channels Based
//! on Short Authenticated Strings", CRYPTO 2005; the same idea is Bluetooth's numeric comparison and Matrix's SAS.)
//!
//! ```text
//! starter -> asked     hello    version, what it wants, commitment
//! asked   -> starter   answer   status, nonce
//! starter -> asked     reveal   nonce, its name
//! both                 words    of one byte: yes, no, ...      (see `agreement`)
//! who lets in -> who joins      the roster, once both have said yes
//! ```

use base::NodeId;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::proof::{Channel, HELLO_BYTES, VERSION};
use crate::session::greeting::{FIELD_BYTES, read_name, write_name};

pub(crate) mod agreement;
pub(crate) mod door;

/// First bytes of a hello that begins a pairing.
pub(crate) const MAGIC: [u8; 4] = *b"ESPP";
/// Length of the answer.
pub(crate) const ANSWER_BYTES: usize = 1 + NONCE_BYTES;
/// Length of the reveal.
pub(crate) const REVEAL_BYTES: usize = NONCE_BYTES + FIELD_BYTES;
/// Length of a nonce.
pub(crate) const NONCE_BYTES: usize = 32;

const COMMITMENT: &[u8] = b"espalier pairing commitment 1\n";
const DIGITS: &[u8] = b"espalier pairing digits 1\n";

/// Random, and used once.
pub(crate) type Nonce = [u8; NONCE_BYTES];

/// Which side has the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It signs the other in, into its cluster or a new one.
    LetsIn,
    /// It is in no cluster and joins the other's.
    Joins,
}

impl Role {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::LetsIn => Self::Joins,
            Self::Joins => Self::LetsIn,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::LetsIn => 1,
            Self::Joins => 2,
        }
    }

    fn read(byte: u8) -> Option<Self> {
        [Self::LetsIn, Self::Joins]
            .into_iter()
            .find(|role| role.byte() == byte)
    }
}

/// Six digits that two screens show when nobody is in between.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digits(u32);

impl std::fmt::Display for Digits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

impl std::fmt::Debug for Digits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digits({self})")
    }
}

/// Why a pairing did not begin, or ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PairingEnd {
    /// Cancelled on this side.
    #[error("it was cancelled here")]
    CancelledHere,
    /// Cancelled on the other side.
    #[error("it was cancelled on the other computer")]
    CancelledThere,
    /// Not both sides confirmed in time.
    #[error("nobody confirmed it in time (hint: start again and confirm on both computers)")]
    TimedOut,
    /// The connection broke.
    #[error("the connection broke (hint: start again)")]
    Broken,
    /// What came is not what must have come.
    #[error(
        "the other computer did not keep to the protocol (hint: start again; if it happens again, someone may be in between)"
    )]
    Altered,
    /// Nobody answers there.
    #[error("the other computer cannot be reached (hint: check that both are on the same network)")]
    Unreachable,
    /// It speaks another version.
    #[error("the other computer runs another version of Espalier (hint: update both)")]
    OtherVersion,
    /// That node is not seen now.
    #[error("that computer is not seen now (hint: check that Espalier runs there)")]
    NotSeen,
    /// There is no pairing with that node.
    #[error("there is no pairing with that computer (hint: start one)")]
    NotPairing,
    /// This node is pairing already.
    #[error("this computer is pairing already (hint: finish or cancel that first)")]
    BusyHere,
    /// The other one is.
    #[error("the other computer is pairing already (hint: finish or cancel that first)")]
    BusyThere,
    /// Too many asked lately.
    #[error("too many computers asked lately (hint: wait a minute)")]
    TooMany,
    /// This node's membership is a shared key.
    #[error("this computer joins by a cluster key (hint: start it without one to pair it)")]
    KeyHere,
    /// The other one's is.
    #[error("the other computer joins by a cluster key (hint: start it without one to pair it)")]
    KeyThere,
    /// They belong together already.
    #[error("both computers are in this cluster already")]
    Together,
    /// Both are in a cluster, not in the same.
    #[error("both computers are in a cluster already (hint: leave one of them first)")]
    TwoClusters,
    /// The other side did not hold what it said about its cluster.
    #[error("what the other computer is has just changed (hint: start again)")]
    Changed,
    /// The roster that came is not one that could be joined.
    #[error("the other computer sent no valid roster (hint: start again)")]
    BadRoster,
    /// The roster could not be extended.
    #[error("{0}")]
    Roster(#[from] crate::RosterError),
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    NoRandomness,
    /// This node is about to stop.
    #[error("this computer is leaving")]
    Leaving,
}

/// What the node that is asked says first; anything but `Go` ends the pairing.
const STATUSES: [(u8, Option<PairingEnd>); 9] = [
    (0, None),
    (1, Some(PairingEnd::BusyThere)),
    (2, Some(PairingEnd::TooMany)),
    (3, Some(PairingEnd::KeyThere)),
    (4, Some(PairingEnd::TwoClusters)),
    (5, Some(PairingEnd::Changed)),
    (6, Some(PairingEnd::OtherVersion)),
    (7, Some(PairingEnd::Altered)),
    (OTHERWISE, Some(PairingEnd::Broken)),
];
/// Whatever else keeps the node that is asked from going on.
const OTHERWISE: u8 = 8;

/// What a refusal here is called there.
fn status_of(refusal: PairingEnd) -> u8 {
    let told = match refusal {
        PairingEnd::BusyHere => PairingEnd::BusyThere,
        PairingEnd::KeyHere => PairingEnd::KeyThere,
        other => other,
    };
    let known = STATUSES.iter().find(|(_, end)| *end == Some(told));
    known.map_or(OTHERWISE, |(status, _)| *status)
}

/// The side that started, waiting for the answer.
pub(crate) struct Starting {
    channel: Channel,
    role: Role,
    nonce: Nonce,
}

/// The side that was asked, waiting for the reveal.
pub(crate) struct Asked {
    channel: Channel,
    starter: Role,
    commitment: [u8; 32],
    nonce: Nonce,
}

impl Starting {
    /// Starts on a channel whose dialer this node is. `port` is where it listens itself.
    pub(crate) fn begin(
        channel: Channel,
        role: Role,
        port: u16,
        nonce: Nonce,
    ) -> (Self, [u8; HELLO_BYTES]) {
        let mut hello = [0; HELLO_BYTES];
        hello[..4].copy_from_slice(&MAGIC);
        hello[4] = VERSION;
        hello[5..7].copy_from_slice(&port.to_be_bytes());
        hello[7] = role.byte();
        hello[8..].copy_from_slice(&commitment(&channel, role, &nonce));
        let waiting = Self {
            channel,
            role,
            nonce,
        };
        (waiting, hello)
    }

    /// Takes the answer and opens the commitment. The digits are settled by it.
    pub(crate) fn answer(
        self,
        name: &str,
        answer: &[u8; ANSWER_BYTES],
    ) -> Result<(Digits, [u8; REVEAL_BYTES]), PairingEnd> {
        let (status, nonce) = answer.split_at(1);
        match STATUSES.iter().find(|(known, _)| *known == status[0]) {
            Some((_, None)) => {}
            Some((_, Some(end))) => return Err(*end),
            None => return Err(PairingEnd::Altered),
        }
        let mut reveal = [0; REVEAL_BYTES];
        reveal[..NONCE_BYTES].copy_from_slice(&self.nonce);
        write_name(&mut reveal[NONCE_BYTES..], name);
        Ok((digits(&self.channel, self.role, &self.nonce, nonce), reveal))
    }
}

impl Asked {
    /// Reads what a starter wants: the role it takes.
    pub(crate) fn wish(hello: &[u8; HELLO_BYTES]) -> Result<Role, PairingEnd> {
        if hello[..4] != MAGIC {
            return Err(PairingEnd::Altered);
        }
        if hello[4] != VERSION {
            return Err(PairingEnd::OtherVersion);
        }
        Role::read(hello[7]).ok_or(PairingEnd::Altered)
    }

    /// Answers a hello whose wish is granted.
    pub(crate) fn grant(
        channel: Channel,
        starter: Role,
        hello: &[u8; HELLO_BYTES],
        nonce: Nonce,
    ) -> (Self, [u8; ANSWER_BYTES]) {
        let mut answer = [0; ANSWER_BYTES];
        answer[1..].copy_from_slice(&nonce);
        let commitment = hello[8..].try_into().expect("a hello ends with 32 bytes");
        let waiting = Self {
            channel,
            starter,
            commitment,
            nonce,
        };
        (waiting, answer)
    }

    /// The answer to a hello whose wish is not granted.
    pub(crate) fn refuse(refusal: PairingEnd) -> [u8; ANSWER_BYTES] {
        let mut answer = [0; ANSWER_BYTES];
        answer[0] = status_of(refusal);
        answer
    }

    /// Takes the reveal: the digits, and the starter's name, if it is what was committed to.
    pub(crate) fn reveal(
        self,
        reveal: &[u8; REVEAL_BYTES],
    ) -> Result<(Digits, String), PairingEnd> {
        let (nonce, name) = reveal.split_at(NONCE_BYTES);
        // Nothing secret is compared: both halves are on the wire by now.
        if commitment(&self.channel, self.starter, nonce) != self.commitment {
            return Err(PairingEnd::Altered);
        }
        let digits = digits(&self.channel, self.starter, nonce, &self.nonce);
        Ok((digits, read_name(name)))
    }
}

/// Binds the starter to its nonce, and to whom and what it is for.
fn commitment(channel: &Channel, starter: Role, nonce: &[u8]) -> [u8; 32] {
    hash(COMMITMENT, channel, starter)
        .chain_update(nonce)
        .finalize()
        .into()
}

fn digits(channel: &Channel, starter: Role, starters: &[u8], askeds: &[u8]) -> Digits {
    let hash: [u8; 32] = hash(DIGITS, channel, starter)
        .chain_update(starters)
        .chain_update(askeds)
        .finalize()
        .into();
    let (first, _) = hash.split_first_chunk().expect("a hash is longer");
    // Sixty-four bits over a million: no digits are likelier than others by more than one in ten trillion.
    Digits((u64::from_be_bytes(*first) % 1_000_000) as u32)
}

/// Every part has a fixed length, so that no two exchanges give the same bytes.
fn hash(domain: &[u8], channel: &Channel, starter: Role) -> Sha256 {
    let NodeId(dialer) = channel.dialer;
    let NodeId(listener) = channel.listener;
    Sha256::new()
        .chain_update(domain)
        .chain_update(dialer)
        .chain_update(listener)
        .chain_update([starter.byte(), starter.other().byte()])
        .chain_update(channel.binding)
}

#[cfg(test)]
mod tests;
