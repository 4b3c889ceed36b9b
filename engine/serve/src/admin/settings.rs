//! `/admin/settings`: how the node runs, and changing it.

use std::sync::Arc;

use axum::extract::Request;
use axum::routing::get;
use axum::{Json, Router, extract};
use serde::{Deserialize, Deserializer, Serialize};
#[cfg(test)]
use ts_rs::TS;

use super::error::Refused;
use crate::app::App;
use crate::settings::Lend;
use crate::{body, json, settings};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/admin/settings", get(show).patch(change))
}

async fn show(app: extract::State<Arc<App>>) -> Json<Settings> {
    Json(app.gateway.settings().into())
}

/// Answers with the settings as they are then.
async fn change(
    app: extract::State<Arc<App>>,
    request: Request,
) -> Result<Json<Settings>, Refused> {
    let change: SettingsChange = json::parse(&body::read(request).await?)?;
    app.gateway.change_settings(change.into()).await?;
    Ok(show(app).await)
}

/// How this node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// What it lends to models at most; null is whatever is free.
    pub(crate) lend_memory_bytes_max: Option<u64>,
    /// Minutes without a request after which a model is unloaded; 0 is never.
    pub(crate) idle_minutes: u32,
}

/// What to change. A field that is not known is an error: a typo would leave things as they are in silence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsChange {
    name: Option<String>,
    join: Option<bool>,
    api: Option<bool>,
    api_port: Option<u16>,
    #[serde(default, deserialize_with = "limit")]
    lend_memory_bytes_max: Option<Lend>,
    idle_minutes: Option<u32>,
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
        }
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
        for wrong in [
            r#"{"jion": true}"#,
            r#"{"join": 1}"#,
            r#"{"api_port": 70000}"#,
            "[]",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
