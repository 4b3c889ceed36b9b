//! Ids as types, so that a node is never taken for an instance. All print and parse as lowercase hex.

use std::fmt;
use std::str::FromStr;

/// A token of a model's vocabulary.
pub type TokenId = u32;

/// An id that could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdError {
    /// What was expected, for example `64 hex digits`.
    pub expected: &'static str,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an id: expected {}", self.expected)
    }
}

impl std::error::Error for IdError {}

/// A node: the 32 bytes of its Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 32]);

impl NodeId {
    /// The first eight hex digits, for people.
    pub fn short(&self) -> String {
        hex(&self.0[..4])
    }
}

/// What a model's files are: SHA-256 over its configuration and tokenizer, and of each weight file the name, length,
/// header and samples of the data. Two folders with the same one hold the same model. Made by `store` alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// One model placed on the cluster, from its opening to its closing. Random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub u64);

/// One generation. Random, so that requests from several nodes never collide in one worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The name a model is used by in requests: a Hugging Face repo id, a folder's name or an alias.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(pub String);

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelId({})", self.0)
    }
}

macro_rules! hex_bytes_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex(&self.0[..4]))
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex(text).map($name).ok_or(IdError {
                    expected: "64 hex digits",
                })
            }
        }
    };
}

macro_rules! hex_u64_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
                let parsed = if digits {
                    u64::from_str_radix(text, 16).ok()
                } else {
                    None
                };
                parsed.map($name).ok_or(IdError {
                    expected: "16 hex digits",
                })
            }
        }
    };
}

hex_bytes_id!(NodeId);
hex_bytes_id!(Fingerprint);
hex_u64_id!(InstanceId);
hex_u64_id!(RequestId);

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_as_they_parse() {
        let node = NodeId(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(node.to_string().parse(), Ok(node));
        assert_eq!(node.short(), "00070e15");
        let instance = InstanceId(0xfe);
        assert_eq!(instance.to_string(), "00000000000000fe");
        assert_eq!(instance.to_string().parse(), Ok(instance));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "zz",
            "+000000000000001",
            "é000000000000",
            &"g".repeat(64),
        ] {
            assert!(text.parse::<NodeId>().is_err(), "{text}");
            assert!(text.parse::<InstanceId>().is_err(), "{text}");
        }
    }
}
