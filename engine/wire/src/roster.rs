//! A cluster's roster as bytes: signed statements of who belongs to it, and the bytes that their signatures are made
//! over. What a statement means, and whether it counts, is `net`'s.
//!
//! Rosters are kept on disk and outlive many versions of the peer protocol, so they carry a version of their own.

use serde::{Deserialize, Serialize};

use crate::codec::{FrameError, Invalid};
use crate::collection::List;
pub use crate::collection::Text;

/// Longest roster in bytes; [`STATEMENTS_MAX`] of the longest statements fit.
pub const BYTES_MAX: usize = 64 << 10;
/// Most statements: a cluster of the largest size, and as many changes again.
pub const STATEMENTS_MAX: usize = 256;
/// Longest name in a statement, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Raised when an older build would misread a roster.
const VERSION: u8 = 1;

/// What is signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Whose statement it is: an Ed25519 public key.
    pub signer: [u8; 32],
    /// Hash of the signer's statement before it, or of the one that made the signer a member; zero in the first of all.
    pub previous: [u8; 32],
    /// More than that of every statement that the signer knew.
    pub height: u32,
    /// What it does.
    pub action: Action,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Makes a cluster with the signer as its first member.
    Found {
        /// The signer's name.
        name: Text<NAME_BYTES_MAX>,
        /// Makes every cluster another one.
        salt: [u8; 16],
    },
    /// Makes a node a member.
    Add {
        /// Which.
        node: [u8; 32],
        /// Its name.
        name: Text<NAME_BYTES_MAX>,
    },
    /// Ends a membership.
    Remove {
        /// Hash of the statement that began it.
        began: [u8; 32],
        /// Hash of the last statement made under it that still counts; that of its beginning if none does.
        last: [u8; 32],
    },
}

/// A statement and its signature, in two halves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// What is signed.
    pub content: Content,
    /// Ed25519.
    pub signature: [[u8; 32]; 2],
}

impl Content {
    /// The bytes that are hashed and signed; `None` if a name is too long.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        postcard::to_allocvec(self).ok()
    }
}

/// The bytes of a roster.
pub fn to_bytes(statements: Vec<Statement>) -> Result<Vec<u8>, FrameError> {
    let list = List::<Statement, STATEMENTS_MAX>(statements);
    let bytes = postcard::to_extend(&list, vec![VERSION]).map_err(FrameError::Body)?;
    within_cap(bytes.len()).map(|()| bytes)
}

/// The statements of a roster, none of them checked.
pub fn from_bytes(bytes: &[u8]) -> Result<Vec<Statement>, FrameError> {
    within_cap(bytes.len())?;
    let (&version, body) = bytes.split_first().ok_or(FrameError::Empty)?;
    if version != VERSION {
        return Err(Invalid("a roster of another version").into());
    }
    let (list, trailing) = postcard::take_from_bytes(body).map_err(FrameError::Body)?;
    let List::<Statement, STATEMENTS_MAX>(statements) = list;
    match trailing.len() {
        0 => Ok(statements),
        bytes => Err(FrameError::Trailing { bytes }),
    }
}

fn within_cap(bytes: usize) -> Result<(), FrameError> {
    if bytes > BYTES_MAX {
        return Err(FrameError::TooLong {
            bytes,
            bytes_max: BYTES_MAX,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest() -> Statement {
        Statement {
            content: Content {
                signer: [255; 32],
                previous: [255; 32],
                height: u32::MAX,
                action: Action::Add {
                    node: [255; 32],
                    name: Text::whole(&"x".repeat(NAME_BYTES_MAX)),
                },
            },
            signature: [[255; 32]; 2],
        }
    }

    #[test]
    fn the_most_of_the_longest_statements_fit_and_no_more() {
        let most = vec![longest(); STATEMENTS_MAX];
        let bytes = to_bytes(most.clone()).unwrap();
        assert!(bytes.len() <= BYTES_MAX);
        assert_eq!(from_bytes(&bytes), Ok(most));
        assert!(to_bytes(vec![longest(); STATEMENTS_MAX + 1]).is_err());
    }

    #[test]
    fn what_is_no_roster_is_refused() {
        let whole = to_bytes(vec![longest()]).unwrap();
        assert_eq!(from_bytes(&[]), Err(FrameError::Empty));
        assert!(from_bytes(&[VERSION + 1, 0]).is_err());
        assert!(from_bytes(&whole[..whole.len() - 1]).is_err());
        let trailing = [&whole[..], &[0]].concat();
        assert_eq!(
            from_bytes(&trailing),
            Err(FrameError::Trailing { bytes: 1 })
        );
        assert!(from_bytes(&vec![VERSION; BYTES_MAX + 1]).is_err());
    }
}
