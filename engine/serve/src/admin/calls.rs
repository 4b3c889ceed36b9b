//! `/admin/calls`: the recent calls of the API, as a stream.

use std::sync::Arc;
use std::time::Duration;

use axum::extract;
use axum::response::IntoResponse;
use axum::response::sse::{KeepAlive, Sse};
use serde::Serialize;
#[cfg(test)]
use ts_rs::TS;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::events::{KEEP_ALIVE, Latest};
use crate::app::App;
use crate::calls;
use crate::openapi::{Routes, shape};

/// Between two lists: more cannot be read.
const PAUSE: Duration = Duration::from_millis(250);

pub(super) fn routes() -> Routes {
    Routes::default().routes(routes!(show))
}

/// The recent calls, each time that they change.
#[utoipa::path(
    get,
    path = "/admin/calls",
    responses((status = 200, description = "Events named `calls`, without an end.", body = Sent, content_type = "text/event-stream")),
)]
async fn show(app: extract::State<Arc<App>>) -> impl IntoResponse {
    let shown = app.metrics.calls().clone();
    let lists = Latest {
        name: "calls",
        pause: PAUSE,
        changes: shown.changes(),
        stopping: app.stopping.clone(),
    };
    let lists = lists.events(move |()| Calls {
        calls: shown.latest().into_iter().map(Call::from).collect(),
    });
    Sse::new(lists).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// An event of `/admin/calls`.
type Sent = shape::Event<Calls>;

/// The latest calls, the newest last.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Calls {
    pub(crate) calls: Vec<Call>,
}

/// A call of the API.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Call {
    pub(crate) id: u64,
    /// Milliseconds since 1970.
    pub(crate) started_ms: u64,
    pub(crate) method: String,
    pub(crate) path: String,
    /// What the client calls itself; may be empty.
    pub(crate) client: String,
    /// Its address; null for this computer.
    pub(crate) from: Option<String>,
    pub(crate) model: Option<String>,
    /// Its place in the model's queue, from 1; null while it does not wait there.
    pub(crate) position: Option<u32>,
    /// Null until the answer begins.
    pub(crate) status: Option<u16>,
    /// Null until the answer has ended.
    pub(crate) duration_ms: Option<u64>,
    pub(crate) prompt_tokens: Option<u32>,
    pub(crate) completion_tokens: Option<u32>,
    pub(crate) error: Option<String>,
}

impl From<calls::Call> for Call {
    fn from(call: calls::Call) -> Self {
        Self {
            id: call.id,
            started_ms: call.started_ms,
            method: call.method,
            path: call.path,
            client: call.client,
            from: call.from.map(|from| from.to_string()),
            model: call.model,
            position: call.position,
            status: call.status,
            duration_ms: call.duration_ms,
            prompt_tokens: call.usage.map(|usage| usage.prompt_tokens),
            completion_tokens: call.usage.map(|usage| usage.completion_tokens),
            error: call.error,
        }
    }
}
