//! Keys with which programs on other computers may use the API. Only their hashes are kept: whoever reads the file
//! cannot use them. A key is 256 random bits, so one round of SHA-256 is as good as many.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use base::{ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use serve::user_data::{ApiKey, NewApiKey};
use sha2::{Digest, Sha256};

use super::{failed, milliseconds_since_1970};
use crate::settings::SettingsFileError;
use crate::{files, random};

/// A key for each program, not for each request.
const KEYS_MAX: usize = 100;
/// How a key begins: people recognize it, and so do scanners for keys that were published by mistake.
const PREFIX: &str = "espalier-";

/// The keys and the file that keeps them.
#[derive(Debug)]
pub(super) struct Keys {
    path: PathBuf,
    kept: KeptKeys,
}

/// The file's content.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct KeptKeys {
    #[serde(default, rename = "key")]
    keys: Vec<KeptKey>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptKey {
    id: String,
    name: String,
    created_ms: u64,
    /// Of the whole key, in hexadecimal.
    sha256: String,
}

impl Keys {
    pub(super) fn open(path: PathBuf) -> Result<Self, SettingsFileError> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(SettingsFileError::Io { path, source }),
        };
        match toml::from_str(&text) {
            Ok(kept) => Ok(Self { path, kept }),
            Err(error) => {
                let reason = error.message().to_owned();
                Err(SettingsFileError::Damaged { path, reason })
            }
        }
    }

    pub(super) fn shown(&self) -> Vec<ApiKey> {
        self.kept.keys.iter().map(KeptKey::shown).collect()
    }

    pub(super) fn make(&mut self, name: &str) -> Result<NewApiKey, Failure> {
        if self.kept.keys.len() >= KEYS_MAX {
            let message = format!("there are {KEYS_MAX} keys already");
            return Err(Failure::new(ErrorCode::TooLarge, message).hint("remove some of them"));
        }
        let key = format!("{PREFIX}{}", hexadecimal(&random::bytes::<32>()?));
        let made = KeptKey {
            id: format!("{:016x}", random::u64()?),
            name: name.to_owned(),
            created_ms: milliseconds_since_1970(),
            sha256: hash(&key),
        };
        let shown = made.shown();
        let mut kept = self.kept.clone();
        kept.keys.push(made);
        self.keep(kept)?;
        Ok(NewApiKey { shown, key })
    }

    pub(super) fn remove(&mut self, id: &str) -> Result<(), Failure> {
        let mut kept = self.kept.clone();
        kept.keys.retain(|key| key.id != id);
        if kept.keys.len() == self.kept.keys.len() {
            return Err(Failure::new(ErrorCode::NotFound, "there is no such key"));
        }
        self.keep(kept)
    }

    pub(super) fn knows(&self, key: &str) -> bool {
        let hash = hash(key);
        self.kept.keys.iter().any(|known| known.sha256 == hash)
    }

    /// The file first: what counts has to count after a restart too.
    fn keep(&mut self, kept: KeptKeys) -> Result<(), Failure> {
        let text = toml::to_string(&kept)
            .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
        files::replace(&self.path, text.as_bytes()).map_err(|error| failed(&self.path, &error))?;
        self.kept = kept;
        Ok(())
    }
}

impl KeptKey {
    fn shown(&self) -> ApiKey {
        ApiKey {
            id: self.id.clone(),
            name: self.name.clone(),
            created_ms: self.created_ms,
        }
    }
}

fn hash(key: &str) -> String {
    hexadecimal(&Sha256::digest(key.as_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api_keys.toml");
        let mut keys = Keys::open(path.clone()).unwrap();
        assert!(!keys.knows(""));
        let laptop = keys.make("laptop").unwrap();
        let server = keys.make("server").unwrap();
        assert!(keys.knows(&laptop.key) && keys.knows(&server.key));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&laptop.key), "{text}");
        let mut again = Keys::open(path.clone()).unwrap();
        assert_eq!(again.shown(), [laptop.shown.clone(), server.shown]);
        assert!(again.knows(&laptop.key));
        again.remove(&laptop.shown.id).unwrap();
        assert!(!again.knows(&laptop.key) && again.knows(&server.key));
        assert!(!Keys::open(path.clone()).unwrap().knows(&laptop.key));
        let gone = again.remove(&laptop.shown.id).unwrap_err();
        assert_eq!(gone.code, ErrorCode::NotFound);
        std::fs::write(&path, "key = 7").unwrap();
        let damaged = Keys::open(path).unwrap_err();
        assert!(damaged.to_string().contains("api_keys.toml"), "{damaged}");
    }
}
