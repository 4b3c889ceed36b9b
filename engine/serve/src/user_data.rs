//! What the node keeps on its disk for its user: conversations, the keys of programs elsewhere, its own log.

use base::Failure;
use serde_json::value::RawValue;

/// The node's disk, as far as the HTTP server may ask for it. Calls block on files, except [`UserData::known_key`].
pub trait UserData: Send + Sync + 'static {
    /// All conversations, the latest first.
    fn conversations(&self) -> Result<Vec<ConversationSummary>, Failure>;

    /// One of them.
    fn conversation(&self, id: &ConversationId) -> Result<Conversation, Failure>;

    /// Keeps one, in the place of what it was before.
    fn keep_conversation(&self, id: &ConversationId, it: &Conversation) -> Result<(), Failure>;

    /// Forgets one. One that is not there is forgotten.
    fn forget_conversation(&self, id: &ConversationId) -> Result<(), Failure>;

    /// The keys with which programs on other computers may use the API, in the order they were made.
    fn keys(&self) -> Vec<ApiKey>;

    /// Makes a key. Nobody can learn it afterwards.
    fn make_key(&self, name: &str, scope: Scope) -> Result<NewApiKey, Failure>;

    /// Takes a key back: it counts no more when this returns.
    fn remove_key(&self, id: &str) -> Result<(), Failure>;

    /// Which key this is, if it counts. Does not block.
    fn known_key(&self, key: &str) -> Option<KnownKey>;

    /// Whether a token for the hub of models is kept. Nobody can learn which.
    fn has_hub_token(&self) -> bool;

    /// Keeps a token for that hub, or none any more.
    fn set_hub_token(&self, token: Option<&str>) -> Result<(), Failure>;

    /// The last lines of the node's log.
    fn log(&self) -> Result<Log, Failure>;
}

/// The name of a conversation: 1 to 64 of `a-z`, `0-9` and `-`, so that it is a file's name everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationId(String);

impl ConversationId {
    /// The id, if it is one.
    pub fn new(id: &str) -> Option<Self> {
        let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_one = (1..=64).contains(&id.len()) && id.bytes().all(sound);
        is_one.then(|| Self(id.to_owned()))
    }

    /// It as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a list shows of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationSummary {
    /// Its name.
    pub id: String,
    /// What it is about, in words.
    pub title: String,
    /// When something was last said in it, milliseconds since 1970.
    pub changed_ms: u64,
}

/// A conversation.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// What it is about, in words.
    pub title: String,
    /// When something was last said in it, milliseconds since 1970.
    pub changed_ms: u64,
    /// What the page makes of it; nobody else reads it.
    pub content: Box<RawValue>,
}

/// What a key may be used for. The greater one is for everything that the lesser is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// To use models.
    Use,
    /// Also to manage models and the node: everything that this computer may, but for the page.
    Manage,
}

/// A key that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// Its own name.
    pub id: String,
    /// What it may be used for.
    pub scope: Scope,
}

/// A key for the API, as it may be shown at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its own name.
    pub id: String,
    /// What its maker calls it.
    pub name: String,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// What it may be used for.
    pub scope: Scope,
}

/// A key at the one moment it can be read.
#[derive(Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// What stays visible of it.
    pub shown: ApiKey,
    /// The key itself.
    pub key: String,
}

/// The end of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// The file; `None` if this node writes none.
    pub path: Option<String>,
    /// Its last lines, the newest last.
    pub lines: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_files_name_and_no_path() {
        for id in ["a", "0f3c-9", &"z".repeat(64)] {
            assert!(ConversationId::new(id).is_some(), "{id}");
        }
        for id in ["", ".", "..", "a/b", "A", "a.json", "ä", &"z".repeat(65)] {
            assert_eq!(ConversationId::new(id), None, "{id}");
        }
    }
}
