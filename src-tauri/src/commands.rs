//! The window's door to the node: the same HTTP API that a port serves, called in this process. One command asks and
//! streams the answer, one hangs up.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt;
use serde::Serialize;
use tauri::ipc::{Channel, InvokeResponseBody};
use tauri::{AppHandle, Manager, State};
use tokio::sync::oneshot;

use crate::own_node::OwnNode;

/// Calls under way at once. The page has a handful; more are a defect of it.
const CALLS_MAX: usize = 64;

/// The last message of a whole answer. That the command has returned says less: the channel's messages may still be on
/// their way to the page then.
const END: &str = "null";

/// Calls under way, by the number that the page gave them. Dropping an entry hangs up.
#[derive(Default)]
pub struct Calls {
    open: Mutex<HashMap<u32, oneshot::Sender<()>>>,
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, oneshot::Sender<()>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, id: u32) -> Result<oneshot::Receiver<()>, String> {
        let mut open = self.lock();
        if open.len() >= CALLS_MAX {
            return Err("too many calls at once".to_owned());
        }
        let (line, hung_up) = oneshot::channel();
        open.insert(id, line);
        Ok(hung_up)
    }
}

/// How an answer begins. What follows on the channel are the bytes of its body, and then [`END`].
#[derive(Debug, Serialize)]
struct Head {
    status: u16,
    content_type: String,
}

/// Asks the node's API and streams the answer: first its head, then its body in pieces, then its end. Returns when all of
/// it is sent or `hang_up` was called with the same `id`.
#[tauri::command]
pub async fn api(
    node: State<'_, OwnNode>,
    calls: State<'_, Calls>,
    id: u32,
    method: String,
    path: String,
    body: Option<String>,
    answer: Channel<InvokeResponseBody>,
) -> Result<(), String> {
    let node = node.get().ok_or("Espalier is still starting")?;
    let request = Request::builder()
        .method(method.as_str())
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.map_or_else(Body::empty, Body::from))
        .map_err(|error| error.to_string())?;
    let hung_up = calls.begin(id)?;
    let streaming = stream(node.api(), request, &answer);
    let done = tokio::select! {
        done = streaming => done,
        // Hung up, or the entry replaced by another call of the same number.
        _ = hung_up => return Ok(()),
    };
    calls.lock().remove(&id);
    done
}

/// Ends a call under way, as a client that closes its connection does.
#[tauri::command]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape of Tauri's commands"
)]
pub fn hang_up(calls: State<'_, Calls>, id: u32) {
    calls.lock().remove(&id);
}

/// The window is gone, and with it whoever listened.
pub(crate) fn hang_up_all(app: &AppHandle) {
    app.state::<Calls>().lock().clear();
}

async fn stream(
    api: &serve::InProcess,
    request: Request<Body>,
    answer: &Channel<InvokeResponseBody>,
) -> Result<(), String> {
    let response = api.call(request).await;
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let head = Head {
        status: response.status().as_u16(),
        content_type: content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
    };
    let text = |error: &dyn std::error::Error| error.to_string();
    let head = serde_json::to_string(&head).map_err(|error| text(&error))?;
    let send = |piece: InvokeResponseBody| answer.send(piece).map_err(|error| text(&error));
    send(InvokeResponseBody::Json(head))?;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| text(&error))?;
        if let Ok(bytes) = frame.into_data() {
            send(InvokeResponseBody::Raw(bytes.to_vec()))?;
        }
    }
    send(InvokeResponseBody::Json(END.to_owned()))
}
