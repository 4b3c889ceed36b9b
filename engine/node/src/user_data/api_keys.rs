//! Keys with which programs on other computers may use the API. Only their hashes are kept: whoever reads the file
//! cannot use them. A key is 256 random bits, so one round of SHA-256 is as good as many.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use base::{ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use serve::user_data::{ApiKey, KnownKey, NewApiKey, Scope};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

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
    #[serde(default)]
    scope: KeptScope,
    /// Of the whole key, in hexadecimal.
    sha256: String,
}

/// What a key is for. Keys made before there were scopes are for use.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptScope {
    #[default]
    Use,
    Manage,
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

    pub(super) fn make(&mut self, name: &str, scope: Scope) -> Result<NewApiKey, Failure> {
        if self.kept.keys.len() >= KEYS_MAX {
            let message = format!("there are {KEYS_MAX} keys already");
            return Err(Failure::new(ErrorCode::TooLarge, message).hint("remove some of them"));
        }
        let key = format!("{PREFIX}{}", hexadecimal(&random::bytes::<32>()?));
        let made = KeptKey {
            id: format!("{:016x}", random::u64()?),
            name: name.to_owned(),
            created_ms: milliseconds_since_1970(),
            scope: scope.into(),
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

    /// Compares with every key and all of it, so that the time says nothing about how near a guess was.
    pub(super) fn known(&self, key: &str) -> Option<KnownKey> {
        let hash = hash(key);
        let same = |known: &KeptKey| bool::from(known.sha256.as_bytes().ct_eq(hash.as_bytes()));
        let all = self.kept.keys.iter();
        let found = all.fold(
            None,
            |found, known| if same(known) { Some(known) } else { found },
        )?;
        Some(KnownKey {
            id: found.id.clone(),
            scope: found.scope.into(),
        })
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
            scope: self.scope.into(),
        }
    }
}

impl From<Scope> for KeptScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Use => Self::Use,
            Scope::Manage => Self::Manage,
        }
    }
}

impl From<KeptScope> for Scope {
    fn from(scope: KeptScope) -> Self {
        match scope {
            KeptScope::Use => Self::Use,
            KeptScope::Manage => Self::Manage,
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
        let scope = |keys: &Keys, key: &str| keys.known(key).map(|known| known.scope);
        assert_eq!(scope(&keys, ""), None);
        let laptop = keys.make("laptop", Scope::Use).unwrap();
        let server = keys.make("server", Scope::Manage).unwrap();
        assert_eq!(scope(&keys, &laptop.key), Some(Scope::Use));
        assert_eq!(scope(&keys, &server.key), Some(Scope::Manage));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&laptop.key), "{text}");
        let mut again = Keys::open(path.clone()).unwrap();
        assert_eq!(again.shown(), [laptop.shown.clone(), server.shown]);
        assert_eq!(again.known(&laptop.key).unwrap().id, laptop.shown.id);
        again.remove(&laptop.shown.id).unwrap();
        assert_eq!(scope(&again, &laptop.key), None);
        assert_eq!(scope(&again, &server.key), Some(Scope::Manage));
        let reopened = Keys::open(path.clone()).unwrap();
        assert_eq!(scope(&reopened, &laptop.key), None);
        let gone = again.remove(&laptop.shown.id).unwrap_err();
        assert_eq!(gone.code, ErrorCode::NotFound);
        std::fs::write(&path, "key = 7").unwrap();
        let damaged = Keys::open(path).unwrap_err();
        assert!(damaged.to_string().contains("api_keys.toml"), "{damaged}");
    }

    #[test]
    fn a_key_from_before_scopes_is_for_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api_keys.toml");
        let old = format!(
            "[[key]]\nid = \"1\"\nname = \"old\"\ncreated_ms = 1\nsha256 = \"{}\"\n",
            hash("espalier-old")
        );
        std::fs::write(&path, old).unwrap();
        let keys = Keys::open(path).unwrap();
        assert_eq!(keys.known("espalier-old").unwrap().scope, Scope::Use);
    }
}
