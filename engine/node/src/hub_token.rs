//! The user's token for the hub, among the system's secrets: kept, used, and never shown again.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::{ErrorCode, Failure};
use net::{KeyStore, KeyStoreError};
use store::download::Hub;

use crate::config::NodeConfig;
use crate::words;

/// Hugging Face's have 37 bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// The login keychain, with an entry for each data folder.
#[cfg(target_os = "macos")]
type Store = net::identity::KeychainKeyStore;
/// A private file in the data folder.
#[cfg(not(target_os = "macos"))]
type Store = net::FileKeyStore;

/// Where the token is, and what it is. Asking for it does not block.
pub(crate) struct HubToken {
    /// Held while it is written, which may have to wait for its user.
    store: Mutex<Store>,
    token: Mutex<Option<String>>,
}

impl fmt::Debug for HubToken {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubToken").finish_non_exhaustive()
    }
}

impl HubToken {
    /// Reads what was kept.
    pub(crate) fn open(config: &NodeConfig) -> Result<Self, KeyStoreError> {
        let store = store(config)?;
        let token = store.load()?.map(|token| token.to_string());
        Ok(Self {
            store: Mutex::new(store),
            token: Mutex::new(token),
        })
    }

    /// The token, if there is one.
    pub(crate) fn get(&self) -> Option<String> {
        self.token().clone()
    }

    /// A hub that is asked with the token, unless it has one of its own.
    pub(crate) fn shown_to(&self, hub: &Hub) -> Hub {
        let mut hub = hub.clone();
        hub.token = hub.token.or_else(|| self.get());
        hub
    }

    /// Keeps a token, or none any more. Blocks on the store.
    pub(crate) fn set(&self, new: Option<&str>) -> Result<(), Failure> {
        if let Some(new) = new {
            check(new)?;
        }
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.remove().map_err(|error| failed(&error))?;
        *self.token() = None;
        if let Some(new) = new {
            store.save(new).map_err(|error| failed(&error))?;
            *self.token() = Some(new.to_owned());
        }
        Ok(())
    }

    fn token(&self) -> MutexGuard<'_, Option<String>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the token of a data folder, where it is not a file of that.
#[cfg(target_os = "macos")]
pub(crate) fn forget(data: &std::path::Path) -> Result<(), KeyStoreError> {
    keychain(data)?.remove()
}

#[cfg(target_os = "macos")]
fn keychain(data: &std::path::Path) -> Result<Store, KeyStoreError> {
    let account = format!("{} (Hugging Face)", data.display());
    Store::new(crate::config::KEYCHAIN_SERVICE, &account)
}

#[cfg(target_os = "macos")]
fn store(config: &NodeConfig) -> Result<Store, KeyStoreError> {
    keychain(&config.data)
}

#[cfg(not(target_os = "macos"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the keychain of the other platform can refuse"
)]
fn store(config: &NodeConfig) -> Result<Store, KeyStoreError> {
    Ok(Store::new(config.hub_token_file()))
}

fn check(token: &str) -> Result<(), Failure> {
    let is_one = (1..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_one {
        return Ok(());
    }
    let message = "this is no token: they are letters and digits without spaces";
    let failure = Failure::new(ErrorCode::InvalidRequest, message).param("token");
    Err(failure.hint("copy one from huggingface.co/settings/tokens"))
}

fn failed(error: &KeyStoreError) -> Failure {
    words::failure(ErrorCode::Internal, &error.to_string())
}
