//! Who this node is: an Ed25519 key pair. The public key *is* the node's id.
//!
//! The secret lives in a [`KeyStore`]: a private file, or the Keychain on macOS. A damaged key is an error, never
//! silently replaced, because other nodes know this one by it.

use std::fmt;

use base::NodeId;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use thiserror::Error;
use zeroize::Zeroizing;

mod file;
#[cfg(target_os = "macos")]
mod keychain;

pub use file::FileKeyStore;
#[cfg(target_os = "macos")]
pub use keychain::KeychainKeyStore;

/// First words of a stored key: what it is and the version of its form.
const HEADER: &str = "espalier node key 1";

/// A place that keeps one secret text.
pub trait KeyStore {
    /// The text kept, or `None` if there has never been one.
    fn load(&self) -> Result<Option<Zeroizing<String>>, KeyStoreError>;
    /// Keeps a text where there was none. Complete or not at all.
    fn save(&self, text: &str) -> Result<(), KeyStoreError>;
    /// Where it is kept, for people.
    fn place(&self) -> String;
}

/// Why a key store could not be used.
#[derive(Debug, Error)]
pub enum KeyStoreError {
    /// A file could not be read or written.
    #[error(
        "cannot {action} the secret at {place}: {source} (hint: check who owns it and the free disk space)"
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        place: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is open to others and that could not be changed.
    #[error(
        "the secret at {place} can be read by others of this machine (hint: chmod 600 {place})"
    )]
    Exposed {
        /// Where.
        place: String,
    },
    /// The operating system's store refused.
    #[error(
        "the Keychain refused the node's key: {0} (hint: unlock the login keychain and allow the access)"
    )]
    Keychain(String),
}

/// Why there is no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] KeyStoreError),
    /// What the store holds is not a key.
    #[error(
        "the node's key at {place} is damaged (hint: restore it from a backup, or move it away to start as a new node)"
    )]
    Damaged {
        /// Where.
        place: String,
    },
    /// The system gave no random numbers.
    #[error("the system gave no random numbers for a new key")]
    NoRandomness,
}

/// A node's key pair. Cheap to clone; never printed.
#[derive(Clone)]
pub struct Identity {
    node: NodeId,
    seed: Zeroizing<[u8; 32]>,
}

impl Identity {
    /// The stored key pair, or a new one that is stored now.
    pub fn load_or_create(store: &dyn KeyStore) -> Result<Self, IdentityError> {
        if let Some(text) = store.load()? {
            return Self::parse(&text).ok_or_else(|| IdentityError::Damaged {
                place: store.place(),
            });
        }
        let identity = Self::generate()?;
        store.save(&identity.to_text())?;
        Ok(identity)
    }

    /// A new key pair that is stored nowhere.
    pub fn generate() -> Result<Self, IdentityError> {
        let seed =
            ring::rand::generate(&SystemRandom::new()).map_err(|_| IdentityError::NoRandomness)?;
        Self::from_seed(Zeroizing::new(seed.expose())).ok_or(IdentityError::NoRandomness)
    }

    /// The public key.
    pub fn node_id(&self) -> NodeId {
        self.node
    }

    /// The secret half in PKCS#8, as TLS libraries take it.
    pub(crate) fn to_pkcs8(&self) -> Vec<u8> {
        // PrivateKeyInfo { version 0, Ed25519, OCTET STRING of OCTET STRING of 32 bytes } up to the seed itself.
        const PREFIX: [u8; 16] = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        [&PREFIX[..], &self.seed[..]].concat()
    }

    /// Signs with the node's key. The message begins with what it is for, so that no signature serves twice.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let pair = Ed25519KeyPair::from_seed_unchecked(&self.seed[..]);
        let pair = pair.expect("the seed made a key pair before");
        let signature = pair.sign(message);
        signature
            .as_ref()
            .try_into()
            .expect("Ed25519 makes 64 bytes")
    }

    pub(crate) fn from_seed(seed: Zeroizing<[u8; 32]>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..]).ok()?;
        let node = NodeId(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { node, seed })
    }

    /// The stored form: the public key stands beside the secret so that a flipped digit is noticed.
    fn to_text(&self) -> Zeroizing<String> {
        // NodeId is 32 bytes in lowercase hex, and so is the seed.
        let seed = Zeroizing::new(NodeId(*self.seed).to_string());
        Zeroizing::new(format!(
            "{HEADER}\nsecret {}\npublic {}\n",
            *seed, self.node
        ))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != HEADER {
            return None;
        }
        let secret: NodeId = lines.next()?.strip_prefix("secret ")?.parse().ok()?;
        let public: NodeId = lines.next()?.strip_prefix("public ")?.parse().ok()?;
        if lines.next().is_some() {
            return None;
        }
        Self::from_seed(Zeroizing::new(secret.0)).filter(|identity| identity.node == public)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.node.short())
    }
}
