//! Responses over a WebSocket, as Open Responses has it: each message of the client is a `response.create`, and the events of each
//! response are messages, one response after the other. A response that is not stored is known to its connection alone, and
//! of these the newest only.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;
use base::{ErrorCode, Failure, Message};
use futures::stream::{self, BoxStream, SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::request::Parts;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::sleep;

use super::convert::{Asked, parse};
use super::kept::Kept;
use super::routes::{before, start};
use super::run::Running;
use crate::app::App;
use crate::body::BODY_BYTES_MAX;
use crate::generation::Events;
use crate::guard::Caller;
use crate::openai::convert::invalid;
use crate::openai::error::{Envelope, message};
use crate::openai::routes::{KEEP_ALIVE, Refused};
use crate::standing::Asker;

/// Shorter than what lies between is patient with a line that says nothing.
const PING_EVERY: Duration = KEEP_ALIVE;
/// So many times in a row nothing but a ping is sent: after an hour nobody goes on.
const QUIET_PINGS_MAX: u32 = 240;

/// Opens a WebSocket. Each message is a request as `POST` takes it with `"type": "response.create"`, and is answered with the
/// events of its response, each a message.
#[utoipa::path(
    get,
    path = "/v1/responses",
    responses(
        (status = 101, description = "The WebSocket."),
        (status = 405, description = "The request asks for no WebSocket.", body = Envelope),
    ),
)]
pub(super) async fn open(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Refused> {
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app).await;
    let upgrade = upgrade.map_err(|_| {
        let message = "GET /v1/responses opens a WebSocket, and this request asks for none";
        let failure = Failure::new(ErrorCode::MethodNotAllowed, message);
        failure.hint("POST /v1/responses answers by HTTP")
    })?;
    let upgrade = upgrade
        .max_message_size(BODY_BYTES_MAX)
        .max_frame_size(BODY_BYTES_MAX);
    let talk = Talk {
        app,
        parts,
        newest: None,
        waiting: None,
    };
    Ok(upgrade.on_upgrade(|socket| talk.run(socket)))
}

/// One connection.
struct Talk {
    app: Arc<App>,
    /// Of the request that opened it: who asks. Its extensions hold the connection's place.
    parts: Parts,
    /// The newest response, if it is not stored.
    newest: Option<Arc<Kept>>,
    /// What was said while a response was under way. Nothing more is read until its turn has come.
    waiting: Option<String>,
}

/// The client hung up.
struct Gone;

type Incoming = SplitStream<WebSocket>;
type Outgoing = SplitSink<WebSocket, Frame>;

impl Talk {
    async fn run(mut self, socket: WebSocket) {
        let mut stopping = self.app.stopping.clone();
        let (mut to, mut from) = socket.split();
        let talking = async {
            // Ends when the client hangs up or says nothing for long.
            while let Ok(said) = self.next(&mut to, &mut from).await {
                if self.answer(&said, &mut to, &mut from).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = talking => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        // The other end may be gone, which is as good.
        let _ = to.close().await;
    }

    /// What the client says next.
    async fn next(&mut self, to: &mut Outgoing, from: &mut Incoming) -> Result<String, Gone> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(waiting);
        }
        for _ in 0..QUIET_PINGS_MAX {
            tokio::select! {
                said = heard(from) => return said,
                sent = ping(to) => sent?,
            }
        }
        Err(Gone)
    }

    /// Answers one message; a client that hangs up ends what is under way.
    async fn answer(
        &mut self,
        said: &str,
        to: &mut Outgoing,
        from: &mut Incoming,
    ) -> Result<(), Gone> {
        let (previous, kept, mut told) = match self.begin(said) {
            Ok((asked, kept, told)) => (asked.previous, kept, told),
            Err(failure) => return tell(to, message(failure)).await,
        };
        loop {
            tokio::select! {
                biased;
                event = told.next() => match event {
                    Some(event) => tell(to, event).await?,
                    None => break,
                },
                said = heard(from), if self.waiting.is_none() => self.waiting = Some(said?),
                sent = ping(to) => sent?,
            }
        }
        let response = kept.response();
        let is_good = response["status"] == "completed" || response["status"] == "incomplete";
        if is_good && response["store"] == false {
            self.newest = Some(kept);
        } else if !is_good {
            self.forget(previous.as_deref());
        }
        Ok(())
    }

    /// What failed is not gone on from.
    fn forget(&mut self, previous: Option<&str>) {
        let newest = self.newest.as_ref().map(|kept| kept.id());
        if previous.is_some() && newest.as_deref() == previous {
            self.newest = None;
        }
    }

    fn begin(
        &mut self,
        said: &str,
    ) -> Result<(Asked, Arc<Kept>, BoxStream<'static, Value>), Failure> {
        let request = Request::from_parts(self.parts.clone(), Body::empty());
        let from = request.extensions().get().and_then(Caller::elsewhere);
        let now = self.app.gateway.unix_milliseconds();
        let noted = self.app.metrics.calls().begin(&request, from, now);
        let asked = self.asked(said, Asker::of(&request));
        let begun = asked.and_then(|asked| {
            let before = self.before(&asked)?;
            let started = start(&self.app, &asked, before, Some(noted.clone()));
            let (kept, generation) =
                started.inspect_err(|_| self.forget(asked.previous.as_deref()))?;
            let told = told(Arc::clone(&self.app), Arc::clone(&kept), generation);
            Ok((asked, kept, told.boxed()))
        });
        noted.status(if begun.is_ok() { 200 } else { 400 });
        begun.inspect_err(|failure| noted.failed(failure))
    }

    fn asked(&self, said: &str, who: Asker) -> Result<Asked, Failure> {
        let Kind { kind } = crate::json::parse(said.as_bytes())?;
        if kind.as_deref() != Some("response.create") {
            let failure = invalid("type must be response.create", "type");
            return Err(failure.hint("each message asks for one response"));
        }
        let newest = |id: &str| self.newest.as_ref().and_then(|kept| kept.item(id));
        let kept = |id: &str| newest(id).or_else(|| self.app.responses.item(id));
        let mut asked = parse(said.as_bytes(), self.app.fresh()?, &kept)?;
        if asked.background {
            let failure = invalid("background is not for a WebSocket", "background");
            return Err(failure.hint("POST /v1/responses runs a response in the background"));
        }
        asked.request.standing = who.standing(said.as_bytes())?;
        Ok(asked)
    }

    fn before(&self, asked: &Asked) -> Result<Vec<Message>, Failure> {
        let newest = self.newest.as_ref();
        match newest.filter(|kept| Some(kept.id()) == asked.previous) {
            Some(kept) => Ok(kept.turns()),
            None => before(&self.app, asked),
        }
    }
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// All that is to be told of a response.
fn told(
    app: Arc<App>,
    kept: Arc<Kept>,
    generation: Events,
) -> impl futures::Stream<Item = Value> + Send {
    let beginning = async move {
        match Running::begin(Arc::clone(&app), generation, Arc::clone(&kept)).await {
            Ok((running, first)) => running.events(first).boxed(),
            Err(failure) => {
                app.responses.remove(&kept.id());
                stream::iter([message(failure)]).boxed()
            }
        }
    };
    stream::once(beginning).flatten()
}

/// The next words. Nothing is lost if it is dropped before.
async fn heard(from: &mut Incoming) -> Result<String, Gone> {
    loop {
        match from.next().await {
            Some(Ok(Frame::Text(text))) => return Ok(text.as_str().to_owned()),
            // Not what clients send, and no JSON if it is no text.
            Some(Ok(Frame::Binary(bytes))) => return Ok(String::from_utf8_lossy(&bytes).into()),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
            Some(Ok(Frame::Close(_)) | Err(_)) | None => return Err(Gone),
        }
    }
}

/// After a while, says that the server is still there.
async fn ping(to: &mut Outgoing) -> Result<(), Gone> {
    sleep(PING_EVERY).await;
    let ping = Frame::Ping(axum::body::Bytes::new());
    to.send(ping).await.map_err(|_| Gone)
}

async fn tell(to: &mut Outgoing, event: Value) -> Result<(), Gone> {
    let text = Frame::Text(event.to_string().into());
    to.send(text).await.map_err(|_| Gone)
}
