//! `/admin/settings`: how the node runs, and changing it.

use std::sync::Arc;

use axum::extract::Request;
use axum::{Json, extract};
use base::{ErrorCode, Failure};
use serde::{Deserialize, Deserializer, Serialize};
#[cfg(test)]
use ts_rs::TS;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::error::Refused;
use crate::app::App;
use crate::guard::Caller;
use crate::openapi::Routes;
use crate::settings::Lend;
use crate::{body, json, settings};

pub(super) fn routes() -> Routes {
    Routes::default().routes(routes!(show, change, reset))
}

/// How the node runs.
#[utoipa::path(
    get,
    path = "/admin/settings",
    responses((status = 200, description = "The settings.", body = Settings)),
)]
async fn show(app: extract::State<Arc<App>>) -> Json<Settings> {
    Json(app.gateway.settings().await.into())
}

/// Answers with the settings as they are then.
#[utoipa::path(
    patch,
    path = "/admin/settings",
    request_body = SettingsChange,
    responses((status = 200, description = "The settings as they are then.", body = Settings)),
)]
async fn change(
    app: extract::State<Arc<App>>,
    request: Request,
) -> Result<Json<Settings>, Refused> {
    let came_by_port = request.extensions().get::<Caller>().is_some();
    let change: SettingsChange = json::parse(&body::read(request).await?)?;
    if came_by_port {
        change.check_port(&app.gateway.settings().await)?;
    }
    app.gateway.change_settings(change.into()).await?;
    Ok(show(app).await)
}

/// Everything is as at the first start; answers with the settings as they are then.
#[utoipa::path(
    delete,
    path = "/admin/settings",
    responses((status = 200, description = "The settings as they are then.", body = Settings)),
)]
async fn reset(app: extract::State<Arc<App>>) -> Result<Json<Settings>, Refused> {
    app.gateway.reset_settings().await?;
    Ok(show(app).await)
}

/// How this node runs.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Settings {
    pub(crate) name: String,
    /// Whether it takes part in the network.
    pub(crate) join: bool,
    /// `IP:PORT` for peers, while it does.
    pub(crate) peer_address: Option<String>,
    /// Whether the HTTP API has a port.
    pub(crate) api: bool,
    /// 0 is any free one.
    pub(crate) api_port: u16,
    /// `IP:PORT` of the API, while it listens.
    pub(crate) api_address: Option<String>,
    /// Whether programs on other computers may use the API, each with a key.
    pub(crate) api_network: bool,
    /// `IP:PORT` under which they reach it, while they can.
    pub(crate) api_network_addresses: Vec<String>,
    /// Whether the API is also at Ollama's port, where programs made for Ollama look.
    pub(crate) ollama_port: bool,
    /// `IP:PORT` there, while it listens: the port may be taken.
    pub(crate) ollama_address: Option<String>,
    /// What it lends to models at most; null is whatever is free.
    pub(crate) lend_memory_bytes_max: Option<u64>,
    /// Minutes without a request after which a model is unloaded; 0 is never.
    pub(crate) idle_minutes: u32,
    /// Downloads of models take so many bytes in a second at most, all together; 0 is no limit.
    pub(crate) download_bytes_per_s_max: u64,
    /// Origins (`https://chat.example`) of pages whose scripts may call the API's dialects from a browser.
    pub(crate) allowed_origins: Vec<String>,
    /// Where models are looked for besides the node's own folder. Downloads go to the first that takes them and has room.
    pub(crate) model_folders: Vec<ModelFolder>,
    /// Whether its user has been told what this is.
    pub(crate) welcomed: bool,
}

/// A folder with models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct ModelFolder {
    pub(crate) path: String,
    /// Whether downloads may go there and models there may be deleted; nothing is changed there otherwise.
    pub(crate) writable: bool,
    /// Whether it is there now: its disk may not be connected.
    pub(crate) available: bool,
    /// Null if that is not known.
    pub(crate) free_bytes: Option<u64>,
}

/// A folder that models are to be looked for in: its path alone, if nothing may be changed there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[cfg_attr(test, derive(TS))]
pub(crate) enum FolderWish {
    Path(String),
    Folder { path: String, writable: bool },
}

/// What to change. A field that is not known is an error: a typo would leave things as they are in silence.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SettingsChange {
    name: Option<String>,
    join: Option<bool>,
    api: Option<bool>,
    api_port: Option<u16>,
    #[serde(default, deserialize_with = "limit")]
    #[schema(value_type = Option<u64>)]
    lend_memory_bytes_max: Option<Lend>,
    idle_minutes: Option<u32>,
    /// 0 is no limit.
    download_bytes_per_s_max: Option<u64>,
    api_network: Option<bool>,
    ollama_port: Option<bool>,
    /// All of them.
    allowed_origins: Option<Vec<String>>,
    /// All of them; downloads go to the first one that is writable and has room.
    model_folders: Option<Vec<FolderWish>>,
    welcomed: Option<bool>,
    /// `IP:PORT` of the API, if the request comes by that port and the change closes it: nobody who does not know that
    /// locks themselves out.
    closing: Option<String>,
}

impl SettingsChange {
    /// Whether this may come by the API's port.
    fn check_port(&self, now: &settings::Settings) -> Result<(), Failure> {
        let moves = self.api_port.is_some_and(|port| port != now.api_port);
        let address = now.api_address.map(|address| address.to_string());
        let Some(address) = address.filter(|_| moves || self.api == Some(false)) else {
            return Ok(());
        };
        if self.closing.as_ref() == Some(&address) {
            return Ok(());
        }
        let message = "this closes the port by which the request came";
        let hint = format!("if that is meant, add \"closing\": \"{address}\"");
        let failure = Failure::new(ErrorCode::InvalidRequest, message);
        Err(failure.hint(hint).param("closing"))
    }
}

/// A null takes the limit away; a field that is not there is never read here.
fn limit<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Lend>, D::Error> {
    let bytes: Option<u64> = Option::deserialize(json)?;
    Ok(Some(bytes.map_or(Lend::WhatIsFree, Lend::AtMost)))
}

impl From<settings::Settings> for Settings {
    fn from(settings: settings::Settings) -> Self {
        Self {
            name: settings.name,
            join: settings.join,
            peer_address: settings.peer_address.map(|address| address.to_string()),
            api: settings.api,
            api_port: settings.api_port,
            api_address: settings.api_address.map(|address| address.to_string()),
            lend_memory_bytes_max: settings.lend_memory_bytes_max,
            idle_minutes: settings.idle_minutes,
            download_bytes_per_s_max: settings.download_bytes_per_s_max,
            api_network: settings.api_network,
            api_network_addresses: settings
                .api_network_addresses
                .iter()
                .map(ToString::to_string)
                .collect(),
            ollama_port: settings.ollama_port,
            ollama_address: settings.ollama_address.map(|address| address.to_string()),
            allowed_origins: settings.allowed_origins,
            model_folders: settings
                .model_folders
                .into_iter()
                .map(|folder| ModelFolder {
                    path: folder.path.display().to_string(),
                    writable: folder.writable,
                    available: folder.available,
                    free_bytes: folder.free_bytes,
                })
                .collect(),
            welcomed: settings.welcomed,
        }
    }
}

impl From<FolderWish> for settings::WantedFolder {
    fn from(wish: FolderWish) -> Self {
        let (path, writable) = match wish {
            FolderWish::Path(path) => (path, false),
            FolderWish::Folder { path, writable } => (path, writable),
        };
        let path = path.into();
        Self { path, writable }
    }
}

impl From<SettingsChange> for settings::SettingsChange {
    fn from(change: SettingsChange) -> Self {
        Self {
            name: change.name,
            join: change.join,
            api: change.api,
            api_port: change.api_port,
            lend_memory: change.lend_memory_bytes_max,
            idle_minutes: change.idle_minutes,
            download_bytes_per_s_max: change.download_bytes_per_s_max,
            api_network: change.api_network,
            ollama_port: change.ollama_port,
            allowed_origins: change.allowed_origins,
            model_folders: change
                .model_folders
                .map(|folders| folders.into_iter().map(Into::into).collect()),
            welcomed: change.welcomed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Option<settings::SettingsChange> {
        let change: SettingsChange = json::parse(body.as_bytes()).ok()?;
        Some(change.into())
    }

    fn wanted(path: &str, writable: bool) -> settings::WantedFolder {
        let path = path.into();
        settings::WantedFolder { path, writable }
    }

    #[test]
    fn only_what_is_named_changes() {
        let nothing = settings::SettingsChange::default();
        assert_eq!(parse("{}"), Some(nothing.clone()));
        let unlimited = settings::SettingsChange {
            lend_memory: Some(Lend::WhatIsFree),
            ..nothing.clone()
        };
        assert_eq!(parse(r#"{"lend_memory_bytes_max": null}"#), Some(unlimited));
        let joined = settings::SettingsChange {
            join: Some(true),
            ..nothing
        };
        assert_eq!(parse(r#"{"join": true, "name": null}"#), Some(joined));
        let folders = settings::SettingsChange {
            model_folders: Some(vec![wanted("/a", false), wanted("/b", true)]),
            ..settings::SettingsChange::default()
        };
        let both = r#"{"model_folders": ["/a", {"path": "/b", "writable": true}]}"#;
        assert_eq!(parse(both), Some(folders));
        for wrong in [
            r#"{"jion": true}"#,
            r#"{"join": 1}"#,
            r#"{"api_port": 70000}"#,
            r#"{"model_folders": [{"path": "/b", "writeable": true}]}"#,
            "[]",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
