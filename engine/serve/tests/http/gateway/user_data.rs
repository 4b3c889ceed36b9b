//! What a user keeps, in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use base::{ErrorCode, Failure};
use serve::user_data::{
    ApiKey, Conversation, ConversationId, ConversationSummary, KnownKey, Log, NewApiKey, Scope,
    UserData,
};

#[derive(Default)]
pub struct TestUserData {
    conversations: Mutex<BTreeMap<String, Conversation>>,
    keys: Mutex<Vec<NewApiKey>>,
    hub_token: Mutex<Option<String>>,
}

impl UserData for TestUserData {
    fn conversations(&self) -> Result<Vec<ConversationSummary>, Failure> {
        let kept = self.conversations.lock().unwrap();
        let summaries = kept.iter().map(|(id, kept)| ConversationSummary {
            id: id.clone(),
            title: kept.title.clone(),
            changed_ms: kept.changed_ms,
        });
        Ok(summaries.collect())
    }

    fn conversation(&self, id: &ConversationId) -> Result<Conversation, Failure> {
        let kept = self.conversations.lock().unwrap();
        let missing = || Failure::new(ErrorCode::NotFound, "there is no such conversation");
        kept.get(id.as_str()).cloned().ok_or_else(missing)
    }

    fn keep_conversation(&self, id: &ConversationId, it: &Conversation) -> Result<(), Failure> {
        let id = id.as_str().to_owned();
        self.conversations.lock().unwrap().insert(id, it.clone());
        Ok(())
    }

    fn forget_conversation(&self, id: &ConversationId) -> Result<(), Failure> {
        self.conversations.lock().unwrap().remove(id.as_str());
        Ok(())
    }

    fn has_hub_token(&self) -> bool {
        self.hub_token.lock().unwrap().is_some()
    }

    fn set_hub_token(&self, token: Option<&str>) -> Result<(), Failure> {
        *self.hub_token.lock().unwrap() = token.map(str::to_owned);
        Ok(())
    }

    fn keys(&self) -> Vec<ApiKey> {
        let keys = self.keys.lock().unwrap();
        keys.iter().map(|key| key.shown.clone()).collect()
    }

    fn make_key(&self, name: &str, scope: Scope) -> Result<NewApiKey, Failure> {
        let key = NewApiKey {
            shown: ApiKey {
                id: name.to_owned(),
                name: name.to_owned(),
                created_ms: 7,
                scope,
            },
            key: format!("espalier-{name}"),
        };
        self.keys.lock().unwrap().push(key.clone());
        Ok(key)
    }

    fn remove_key(&self, id: &str) -> Result<(), Failure> {
        self.keys.lock().unwrap().retain(|key| key.shown.id != id);
        Ok(())
    }

    fn known_key(&self, key: &str) -> Option<KnownKey> {
        let keys = self.keys.lock().unwrap();
        let known = keys.iter().find(|known| known.key == key)?;
        Some(KnownKey {
            id: known.shown.id.clone(),
            scope: known.shown.scope,
        })
    }

    fn log(&self) -> Result<Log, Failure> {
        Ok(Log::default())
    }
}
