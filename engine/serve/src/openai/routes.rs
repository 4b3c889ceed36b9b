//! The endpoints.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base::{ErrorCode, Failure, GenerateRequest};
use futures::{StreamExt, stream};
use utoipa_axum::routes;

use super::convert::{parse_chat, parse_completion};
use super::error::error_response;
use super::model::{
    ChatAnswer, ChatRequest, ChatSent, CompletionAnswer, CompletionRequest, CompletionSent,
    ModelList, ModelObject,
};
use super::stream::{
    AnswerHead, ChatExtras, ChatStream, ChatWhole, Chunks, CompletionStream, CompletionWhole,
    Extras, Frames, Whole,
};
use crate::app::App;
use crate::calls::Noted;
use crate::gateway::ModelInfo;
use crate::generation::{Events, events};
use crate::openapi::Routes;
use crate::standing;

/// A comment is sent after so long a silence, so that nothing between client and server takes the line for dead:
/// a long prompt is read for minutes before the first token. Proxies and SDKs wait 30 s and more.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(10);

pub(crate) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(chat))
        .routes(routes!(completion))
        .merge(super::embeddings::routes())
        .merge(super::responses::routes())
}

/// A failure on its way out in `OpenAI`'s envelope.
pub(super) struct Refused(Failure);

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        error_response(self.0)
    }
}

/// All models.
pub(crate) fn list(models: Vec<ModelInfo>) -> Response {
    let data = models.into_iter().map(object).collect();
    let object = "list";
    Json(ModelList { object, data }).into_response()
}

/// The model of that name.
pub(crate) fn one(models: Vec<ModelInfo>, id: &str) -> Response {
    if let Some(model) = models.into_iter().find(|model| model.id == id) {
        return Json(object(model)).into_response();
    }
    let message = format!("there is no model {id}");
    let failure = Failure::new(ErrorCode::ModelNotFound, message);
    let failure = failure.hint("GET /v1/models lists the models there are");
    error_response(failure.param("model"))
}

fn object(model: ModelInfo) -> ModelObject {
    ModelObject {
        id: model.id,
        object: "model",
        created: model.created_unix_seconds,
        owned_by: "espalier",
    }
}

/// Answers a conversation.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    request_body = ChatRequest,
    responses((status = 200, description = "The answer, or its pieces as they come.", content(
        (ChatAnswer = "application/json"),
        (ChatSent = "text/event-stream"),
    ))),
)]
async fn chat(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let noted = Noted::of(&request);
    let (json, standing) = standing::read(request).await?;
    let mut asked = parse_chat(&json, app.fresh()?)?;
    asked.stand(standing);
    let extras = ChatExtras {
        answers: asked.requests.len(),
        logprobs: asked.requests.iter().any(|one| one.logprobs.is_some()),
        include_usage: asked.include_usage,
        forms: asked.forms,
    };
    let head = head(&app, "chatcmpl", &asked.requests);
    let events = events(&app, asked.requests, noted);
    if asked.stream {
        streamed(events, ChatStream::new(head, extras)).await
    } else {
        whole(events, ChatWhole::new(head, extras)).await
    }
}

/// Goes on with texts.
#[utoipa::path(
    post,
    path = "/v1/completions",
    request_body = CompletionRequest,
    responses((status = 200, description = "The answer, or its pieces as they come.", content(
        (CompletionAnswer = "application/json"),
        (CompletionSent = "text/event-stream"),
    ))),
)]
async fn completion(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let noted = Noted::of(&request);
    let (json, standing) = standing::read(request).await?;
    let mut asked = parse_completion(&json, app.fresh()?)?;
    asked.stand(standing);
    let extras = Extras {
        choices: asked.requests.len(),
        answers: asked.answers,
        logprobs: asked.requests.first().and_then(|request| request.logprobs),
        best: asked.best,
        include_usage: asked.include_usage,
    };
    let head = head(&app, "cmpl", &asked.requests);
    let events = events(&app, asked.requests, noted);
    if asked.stream {
        streamed(events, CompletionStream::new(head, extras)).await
    } else {
        whole(events, CompletionWhole::new(head, extras)).await
    }
}

fn head(app: &App, kind: &str, requests: &[GenerateRequest]) -> AnswerHead {
    let id = requests.first().map(|request| request.id.to_string());
    AnswerHead {
        id: format!("{kind}-{}", id.unwrap_or_default()),
        created: app.gateway.unix_milliseconds() / 1000,
    }
}

async fn whole(mut events: Events, mut whole: impl Whole) -> Result<Response, Refused> {
    while let Some(event) = events.next().await {
        let (index, event) = event?;
        whole.hear(index, event);
    }
    Ok(Json(whole.answer()).into_response())
}

/// What fails before the first event is an error with its own status; what fails later is told in the stream.
async fn streamed<C>(mut events: Events, chunks: C) -> Result<Response, Refused>
where
    C: Chunks + Send + 'static,
{
    let first = match events.next().await {
        Some(Err(failure)) => return Err(Refused(failure)),
        first => first,
    };
    let all = stream::iter(first).chain(events).map(Some);
    let all = all.chain(stream::iter([None]));
    let frames = all.scan(Frames::new(chunks), |frames, event| {
        std::future::ready(frames.next(event))
    });
    let frames = frames.flat_map(stream::iter);
    let frames = frames.map(|data| Ok::<_, Infallible>(Event::default().data(data)));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(frames).keep_alive(keep_alive).into_response())
}
