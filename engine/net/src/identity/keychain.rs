//! A node's key in the macOS login keychain. Thin: everything that can be tested elsewhere is elsewhere.

use std::sync::Arc;

use apple_native_keyring_store::keychain::Store;
use keyring_core::api::CredentialStoreApi;
use keyring_core::{Entry, Error};
use zeroize::Zeroizing;

use super::{KeyStore, KeyStoreError};

/// Keeps the key as a generic password of the login keychain.
#[derive(Debug)]
pub struct KeychainKeyStore {
    store: Arc<Store>,
    service: String,
    account: String,
}

impl KeychainKeyStore {
    /// The entry of `service` and `account`, for example the app's bundle id and the data folder.
    pub fn new(service: &str, account: &str) -> Result<Self, KeyStoreError> {
        Ok(Self {
            store: Store::new().map_err(|error| refused(&error))?,
            service: service.to_owned(),
            account: account.to_owned(),
        })
    }

    /// Forgets the key. One that is not there is forgotten.
    pub fn remove(&self) -> Result<(), KeyStoreError> {
        match self.entry()?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(refused(&error)),
        }
    }

    fn entry(&self) -> Result<Entry, KeyStoreError> {
        self.store
            .build(&self.service, &self.account, None)
            .map_err(|error| refused(&error))
    }
}

impl KeyStore for KeychainKeyStore {
    fn load(&self) -> Result<Option<Zeroizing<String>>, KeyStoreError> {
        match self.entry()?.get_password() {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(refused(&error)),
        }
    }

    fn save(&self, text: &str) -> Result<(), KeyStoreError> {
        self.entry()?
            .set_password(text)
            .map_err(|error| refused(&error))
    }

    fn place(&self) -> String {
        format!(
            "the login keychain's item {:?} of {:?}",
            self.account, self.service
        )
    }
}

fn refused(error: &Error) -> KeyStoreError {
    KeyStoreError::Keychain(error.to_string())
}
