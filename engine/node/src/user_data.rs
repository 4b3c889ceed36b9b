//! What the node keeps for its user, in files of its data folder: implements [`serve::user_data::UserData`].

mod api_keys;
mod conversations;
mod log;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{ErrorCode, Failure};
use serve::user_data::{self as served, ConversationId};

use crate::config::NodeConfig;
use crate::hub_token::HubToken;
use crate::settings::SettingsFileError;
use api_keys::Keys;
use conversations::Conversations;

/// The files.
#[derive(Debug)]
pub(crate) struct UserFiles {
    conversations: Conversations,
    keys: Mutex<Keys>,
    log: std::path::PathBuf,
    hub_token: Arc<HubToken>,
}

impl UserFiles {
    /// Reads what has to be known at all times.
    pub(crate) fn open(
        config: &NodeConfig,
        hub_token: Arc<HubToken>,
    ) -> Result<Self, SettingsFileError> {
        Ok(Self {
            conversations: Conversations::new(config.conversations_folder()),
            keys: Mutex::new(Keys::open(config.api_keys_file())?),
            log: config.log_file(),
            hub_token,
        })
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        // A panic elsewhere leaves the list as whole as before.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl served::UserData for UserFiles {
    fn conversations(&self) -> Result<Vec<served::ConversationSummary>, Failure> {
        self.conversations.list()
    }

    fn conversation(&self, id: &ConversationId) -> Result<served::Conversation, Failure> {
        self.conversations.read(id)
    }

    fn keep_conversation(
        &self,
        id: &ConversationId,
        it: &served::Conversation,
    ) -> Result<(), Failure> {
        self.conversations.keep(id, it)
    }

    fn forget_conversation(&self, id: &ConversationId) -> Result<(), Failure> {
        self.conversations.forget(id)
    }

    fn keys(&self) -> Vec<served::ApiKey> {
        self.keys().shown()
    }

    fn make_key(&self, name: &str, scope: served::Scope) -> Result<served::NewApiKey, Failure> {
        self.keys().make(name, scope)
    }

    fn remove_key(&self, id: &str) -> Result<(), Failure> {
        self.keys().remove(id)
    }

    fn known_key(&self, key: &str) -> Option<served::KnownKey> {
        self.keys().known(key)
    }

    fn has_hub_token(&self) -> bool {
        self.hub_token.get().is_some()
    }

    fn set_hub_token(&self, token: Option<&str>) -> Result<(), Failure> {
        self.hub_token.set(token)
    }

    fn log(&self) -> Result<served::Log, Failure> {
        log::last_lines(&self.log)
    }
}

/// What could not be read or written, in words.
fn failed(path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot read or write {}: {error}", path.display());
    let failure = Failure::new(ErrorCode::Internal, message);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.hint("make room on the disk and try again")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            failure.hint("the folder must be this user's to write")
        }
        _ => failure,
    }
}

/// The time of day.
pub(crate) fn milliseconds_since_1970() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
