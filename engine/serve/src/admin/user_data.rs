//! `/admin/conversations`, `/admin/api-keys`, `/admin/hub-token`, `/admin/logs`: what the node keeps for its user.

use std::sync::Arc;

use axum::extract::Request;
use axum::{Json, extract};
use base::{ErrorCode, Failure};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
#[cfg(test)]
use ts_rs::TS;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::error::Refused;
use crate::app::App;
use crate::openapi::Routes;
use crate::uri::{Named, name};
use crate::user_data::{self, ConversationId, UserData};
use crate::{body, json};

/// Longest title of a conversation, in characters.
const TITLE_CHARS_MAX: usize = 200;
/// Longest content of a conversation: hundreds of long answers.
const CONTENT_BYTES_MAX: usize = 8 << 20;
/// Longest name of a key, in characters.
const KEY_NAME_CHARS_MAX: usize = 60;

type Shared = extract::State<Arc<App>>;

pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(conversations))
        .routes(routes!(conversation, keep, forget))
        .routes(routes!(keys, make_key))
        .routes(routes!(remove_key))
        .routes(routes!(hub_token, keep_hub_token, forget_hub_token))
        .routes(routes!(log))
}

/// The conversations that the node keeps.
#[utoipa::path(
    get,
    path = "/admin/conversations",
    responses((status = 200, description = "The conversations, the latest first.", body = Conversations)),
)]
async fn conversations(app: Shared) -> Result<Json<Conversations>, Refused> {
    let kept = on_disk(&app, UserData::conversations).await?;
    let conversations = kept.into_iter().map(|kept| ConversationSummary {
        id: kept.id,
        title: kept.title,
        changed_ms: kept.changed_ms,
    });
    Ok(Json(Conversations {
        conversations: conversations.collect(),
    }))
}

/// A conversation.
#[utoipa::path(
    get,
    path = "/admin/conversations/{id}",
    params(("id" = String, Path, description = "The conversation.")),
    responses((status = 200, description = "The conversation.", body = KeptConversation)),
)]
async fn conversation(app: Shared, id: Named) -> Result<Json<KeptConversation>, Refused> {
    let id = conversation_id(id)?;
    let kept = on_disk(&app, move |data| data.conversation(&id)).await?;
    Ok(Json(KeptConversation {
        title: kept.title,
        changed_ms: kept.changed_ms,
        content: kept.content,
    }))
}

/// Keeps a conversation.
#[utoipa::path(
    put,
    path = "/admin/conversations/{id}",
    params(("id" = String, Path, description = "The conversation: 1 to 64 of `a-z`, `0-9` and `-`.")),
    request_body = KeptConversation,
    responses((status = 204, description = "It is kept.")),
)]
async fn keep(app: Shared, id: Named, request: Request) -> Result<StatusCode, Refused> {
    let id = conversation_id(id)?;
    let kept = parse_conversation(&body::read(request).await?)?;
    on_disk(&app, move |data| data.keep_conversation(&id, &kept)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a conversation.
#[utoipa::path(
    delete,
    path = "/admin/conversations/{id}",
    params(("id" = String, Path, description = "The conversation.")),
    responses((status = 204, description = "It is deleted, or was not there.")),
)]
async fn forget(app: Shared, id: Named) -> Result<StatusCode, Refused> {
    let id = conversation_id(id)?;
    on_disk(&app, move |data| data.forget_conversation(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The keys with which programs on other computers may call.
#[utoipa::path(
    get,
    path = "/admin/api-keys",
    responses((status = 200, description = "The keys, without what makes them keys.", body = ApiKeys)),
)]
async fn keys(app: Shared) -> Result<Json<ApiKeys>, Refused> {
    let keys = on_disk(&app, |data| Ok(data.keys())).await?;
    let keys = keys.into_iter().map(ApiKey::from).collect();
    Ok(Json(ApiKeys { keys }))
}

/// Makes a key.
#[utoipa::path(
    post,
    path = "/admin/api-keys",
    request_body = KeyWish,
    responses((status = 201, description = "The key, this once.", body = NewApiKey)),
)]
async fn make_key(app: Shared, request: Request) -> Result<(StatusCode, Json<NewApiKey>), Refused> {
    let KeyWish { name, scope } = json::parse(&body::read(request).await?)?;
    let name = name.trim().to_owned();
    if name.is_empty() || name.chars().count() > KEY_NAME_CHARS_MAX {
        let message = format!("a key's name has 1 to {KEY_NAME_CHARS_MAX} characters");
        return Err(invalid(&message, "name").into());
    }
    let scope = scope.unwrap_or(Scope::Use).into();
    let made = on_disk(&app, move |data| data.make_key(&name, scope)).await?;
    let ApiKey {
        id,
        name,
        created_ms,
        scope,
    } = made.shown.into();
    let made = NewApiKey {
        id,
        name,
        created_ms,
        scope,
        key: made.key,
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Makes a key worthless.
#[utoipa::path(
    delete,
    path = "/admin/api-keys/{id}",
    params(("id" = String, Path, description = "The key.")),
    responses((status = 204, description = "It is removed.")),
)]
async fn remove_key(app: Shared, id: Named) -> Result<StatusCode, Refused> {
    let id = name(id);
    on_disk(&app, move |data| data.remove_key(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether there is a token for the hub of models.
#[utoipa::path(
    get,
    path = "/admin/hub-token",
    responses((status = 200, description = "Whether there is one.", body = HubToken)),
)]
async fn hub_token(app: Shared) -> Json<HubToken> {
    Json(HubToken {
        is_set: app.gateway.user_data().has_hub_token(),
    })
}

/// Keeps a token for the hub of models, among the system's secrets. It is not shown again.
#[utoipa::path(
    put,
    path = "/admin/hub-token",
    request_body = NewHubToken,
    responses((status = 204, description = "It is kept.")),
)]
async fn keep_hub_token(app: Shared, request: Request) -> Result<StatusCode, Refused> {
    let new: NewHubToken = json::parse(&body::read(request).await?)?;
    on_disk(&app, move |data| data.set_hub_token(Some(&new.token))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the token.
#[utoipa::path(
    delete,
    path = "/admin/hub-token",
    responses((status = 204, description = "There is none.")),
)]
async fn forget_hub_token(app: Shared) -> Result<StatusCode, Refused> {
    on_disk(&app, |data| data.set_hub_token(None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The end of the node's log.
#[utoipa::path(
    get,
    path = "/admin/logs",
    responses((status = 200, description = "Its lines.", body = Logs)),
)]
async fn log(app: Shared) -> Result<Json<Logs>, Refused> {
    let user_data::Log { path, lines } = on_disk(&app, UserData::log).await?;
    Ok(Json(Logs { path, lines }))
}

/// Asks off the runtime's threads: files may be slow.
async fn on_disk<T: Send + 'static>(
    app: &App,
    ask: impl FnOnce(&dyn UserData) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let data = app.gateway.user_data();
    let asking = tokio::task::spawn_blocking(move || ask(&*data));
    let broken = |_| Failure::new(ErrorCode::Internal, "reading or writing broke off");
    asking.await.map_err(broken)?
}

fn conversation_id(id: Named) -> Result<ConversationId, Failure> {
    let id = name(id);
    let message = "a conversation's id has 1 to 64 of a-z, 0-9 and -";
    ConversationId::new(&id).ok_or_else(|| invalid(message, "id"))
}

fn parse_conversation(body: &[u8]) -> Result<user_data::Conversation, Failure> {
    let kept: KeptConversation = json::parse(body)?;
    if kept.title.chars().count() > TITLE_CHARS_MAX {
        let message = format!("a title has at most {TITLE_CHARS_MAX} characters");
        return Err(invalid(&message, "title"));
    }
    if kept.content.get().len() > CONTENT_BYTES_MAX {
        let message = format!("a conversation has at most {} MiB", CONTENT_BYTES_MAX >> 20);
        return Err(Failure::new(ErrorCode::TooLarge, message).hint("begin a new one"));
    }
    Ok(user_data::Conversation {
        title: kept.title,
        changed_ms: kept.changed_ms,
        content: kept.content,
    })
}

fn invalid(message: &str, param: &str) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, message).param(param)
}

/// The conversations that this node keeps, the latest first.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Conversations {
    pub(crate) conversations: Vec<ConversationSummary>,
}

/// What a list shows of a conversation.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct ConversationSummary {
    pub(crate) id: String,
    pub(crate) title: String,
    /// Milliseconds since 1970.
    pub(crate) changed_ms: u64,
}

/// A conversation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
#[schema(as = Conversation)]
pub(crate) struct KeptConversation {
    pub(crate) title: String,
    /// Milliseconds since 1970.
    pub(crate) changed_ms: u64,
    /// Any JSON; the page that wrote it knows what it means.
    #[cfg_attr(test, ts(type = "unknown"))]
    #[schema(value_type = Value)]
    pub(crate) content: Box<RawValue>,
}

/// The keys with which programs on other computers may use the API.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct ApiKeys {
    pub(crate) keys: Vec<ApiKey>,
}

/// A key without what makes it one.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct ApiKey {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Milliseconds since 1970.
    pub(crate) created_ms: u64,
    pub(crate) scope: Scope,
}

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(TS))]
#[schema(as = ApiKeyScope)]
pub(crate) enum Scope {
    /// The API's dialects.
    Use,
    /// These, the admin API, and what else changes which models there are.
    Manage,
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct NewApiKey {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Milliseconds since 1970.
    pub(crate) created_ms: u64,
    pub(crate) scope: Scope,
    /// Not to be had again.
    pub(crate) key: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyWish)]
struct KeyWish {
    name: String,
    /// For use if it is left out.
    scope: Option<Scope>,
}

/// Whether there is a token for the hub of models.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct HubToken {
    pub(crate) is_set: bool,
}

/// A token for the hub of models.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct NewHubToken {
    token: String,
}

/// The end of the node's log.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Logs {
    /// The file; null if this node writes none.
    pub(crate) path: Option<String>,
    /// The newest last.
    pub(crate) lines: Vec<String>,
}

impl From<user_data::ApiKey> for ApiKey {
    fn from(key: user_data::ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            created_ms: key.created_ms,
            scope: key.scope.into(),
        }
    }
}

impl From<user_data::Scope> for Scope {
    fn from(scope: user_data::Scope) -> Self {
        match scope {
            user_data::Scope::Use => Self::Use,
            user_data::Scope::Manage => Self::Manage,
        }
    }
}

impl From<Scope> for user_data::Scope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Use => Self::Use,
            Scope::Manage => Self::Manage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_kept_as_it_was_written() {
        let body = br#"{"title": "Hello", "changed_ms": 7, "content": {"b": 1.0, "a": [ ]}}"#;
        let kept = parse_conversation(body).unwrap();
        assert_eq!(kept.content.get(), r#"{"b": 1.0, "a": [ ]}"#);
        let refused = |body: &str| parse_conversation(body.as_bytes()).unwrap_err().message;
        assert_eq!(
            refused(r#"{"title": "Hello", "changed_ms": 7}"#),
            "the body: missing field `content`"
        );
        assert!(refused(r#"{"title": "", "changed_ms": 7, "content": {"#).contains("JSON"));
        let long = "x".repeat(TITLE_CHARS_MAX + 1);
        let body = format!(r#"{{"title": "{long}", "changed_ms": 7, "content": 1}}"#);
        assert!(refused(&body).contains("title"));
    }
}
