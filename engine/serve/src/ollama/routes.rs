//! The endpoints.

mod answers;
mod listing;
mod managing;
mod pulling;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base::{ErrorCode, Failure};
use http::{HeaderName, Method, header};
use serde::Serialize;
use utoipa_axum::routes;

use super::convert::{parse_chat, parse_copy, parse_create, parse_embed, parse_embedding};
use super::convert::{parse_generate, parse_name};
use super::error::{Envelope, Refused};
use super::model::{
    AnswerLine, AnswerOut, ChatRequest, CopyFields, CreateFields, EmbedOut, EmbedRequest,
    EmbeddingOut, EmbeddingRequest, GenerateRequest, LoadedList, ModelList, NameFields, Progress,
    ProgressLine, Show, Version,
};
use crate::app::App;
use crate::body;
use crate::calls::Noted;
use crate::openapi::Routes;
use crate::standing;
use answers::Shape;

/// What Ollama's clients expect to read at `/`.
pub(crate) const RUNNING: &str = "Ollama is running";
/// The version of Ollama whose API this is: clients compare it with the one in which what they need was added.
const VERSION: &str = "0.13.5";
const LINES: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/x-ndjson")];

pub(crate) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(version))
        .routes(routes!(tags))
        .routes(routes!(ps))
        .routes(routes!(show))
        .routes(routes!(chat))
        .routes(routes!(generate))
        .routes(routes!(embed))
        .routes(routes!(embeddings))
        .routes(routes!(create))
        .routes(routes!(copy))
        .routes(routes!(delete_model))
        .routes(routes!(pull))
        .routes(routes!(push))
        .routes(routes!(blobs))
}

/// The version of Ollama whose API this is.
#[utoipa::path(
    get,
    path = "/api/version",
    responses((status = 200, description = "The version.", body = Version)),
)]
async fn version() -> Json<Version> {
    Json(Version { version: VERSION })
}

/// The models there are.
#[utoipa::path(
    get,
    path = "/api/tags",
    responses((status = 200, description = "The models.", body = ModelList)),
)]
async fn tags(State(app): State<Arc<App>>) -> Response {
    Json(listing::tags(app.gateway.models().await)).into_response()
}

/// The models that are loaded.
#[utoipa::path(
    get,
    path = "/api/ps",
    responses((status = 200, description = "The models.", body = LoadedList)),
)]
async fn ps(State(app): State<Arc<App>>) -> Response {
    let view = app.gateway.changes().borrow().clone();
    Json(listing::loaded(&view, &app.gateway.models().await)).into_response()
}

/// All there is to know of a model.
#[utoipa::path(
    post,
    path = "/api/show",
    request_body = NameFields,
    responses((status = 200, description = "The model.", body = Show)),
)]
async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let named = parse_name(&body::read_any(request).await?)?;
    let description = app.gateway.describe(&named.model).await?;
    Ok(Json(listing::show(&description, named.verbose)).into_response())
}

/// Answers a conversation; without messages the model is loaded or unloaded.
#[utoipa::path(
    post,
    path = "/api/chat",
    request_body = ChatRequest,
    responses((status = 200, description = "The answer, in lines unless `stream` is false.", content(
        (AnswerOut = "application/json"),
        (AnswerLine = "application/x-ndjson"),
    ))),
)]
async fn chat(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let (began, noted) = (Instant::now(), Noted::of(&request));
    let (json, standing) = standing::read_any(request).await?;
    let mut asked = parse_chat(&json, app.fresh()?)?;
    asked.stand(standing);
    answers::answer(&app, asked, Shape::Chat, began, noted).await
}

/// Goes on with a text; without one the model is loaded or unloaded.
#[utoipa::path(
    post,
    path = "/api/generate",
    request_body = GenerateRequest,
    responses((status = 200, description = "The answer, in lines unless `stream` is false.", content(
        (AnswerOut = "application/json"),
        (AnswerLine = "application/x-ndjson"),
    ))),
)]
async fn generate(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let (began, noted) = (Instant::now(), Noted::of(&request));
    let (json, standing) = standing::read_any(request).await?;
    let mut asked = parse_generate(&json, app.fresh()?)?;
    asked.stand(standing);
    answers::answer(&app, asked, Shape::Generate, began, noted).await
}

/// Texts to vectors.
#[utoipa::path(
    post,
    path = "/api/embed",
    request_body = EmbedRequest,
    responses((status = 200, description = "The vectors.", body = EmbedOut)),
)]
async fn embed(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let (began, noted) = (Instant::now(), Noted::of(&request));
    let (json, standing) = standing::read_any(request).await?;
    let mut asked = parse_embed(&json, app.fresh()?)?;
    asked.stand(standing);
    answers::embed(&app, asked, began, noted).await
}

/// A text to a vector, as it was before `/api/embed`.
#[utoipa::path(
    post,
    path = "/api/embeddings",
    request_body = EmbeddingRequest,
    responses((status = 200, description = "The vector.", body = EmbeddingOut)),
)]
async fn embeddings(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let noted = Noted::of(&request);
    let (json, standing) = standing::read_any(request).await?;
    let mut asked = parse_embedding(&json, app.fresh()?)?;
    asked.stand(standing);
    answers::embedding(&app, asked, noted).await
}

/// Makes a model from another one.
#[utoipa::path(
    post,
    path = "/api/create",
    request_body = CreateFields,
    responses((status = 200, description = "It is made; in lines unless `stream` is false.", content(
        (Progress = "application/json"),
        (ProgressLine = "application/x-ndjson"),
    ))),
)]
async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let create = parse_create(&body::read_any(request).await?)?;
    managing::create(&app, create).await
}

/// Gives a model a second name.
#[utoipa::path(
    post,
    path = "/api/copy",
    request_body = CopyFields,
    responses((status = 200, description = "It has the name.")),
)]
async fn copy(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let (source, copy) = parse_copy(&body::read_any(request).await?)?;
    managing::copy(&app, &source, &copy).await
}

/// Deletes a model that was made here.
#[utoipa::path(
    delete,
    path = "/api/delete",
    request_body = NameFields,
    responses((status = 200, description = "It is deleted.")),
)]
async fn delete_model(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let named = parse_name(&body::read_any(request).await?)?;
    app.gateway.delete(&named.model).await?;
    Ok(().into_response())
}

/// Brings a model here from its repository on Hugging Face, `owner/name` or `owner/name@revision`. The node goes on with it when
/// the client has gone.
#[utoipa::path(
    post,
    path = "/api/pull",
    request_body = NameFields,
    responses((status = 200, description = "It is here; in lines unless `stream` is false.", content(
        (Progress = "application/json"),
        (ProgressLine = "application/x-ndjson"),
    ))),
)]
async fn pull(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let named = parse_name(&body::read_any(request).await?)?;
    pulling::pull(&app, &named).await
}

/// Models are not sent anywhere: always refused.
#[utoipa::path(
    post,
    path = "/api/push",
    responses((status = 400, description = "Always.", body = Envelope)),
)]
async fn push() -> Refused {
    let message = "models are not sent to a registry from here";
    let failure = Failure::new(ErrorCode::InvalidRequest, message);
    Refused(failure.hint("copy the model's folder instead"))
}

/// Weights are not made from parts here: always refused.
#[utoipa::path(
    method(head, post),
    path = "/api/blobs/{digest}",
    params(("digest" = String, Path, description = "Of the part.")),
    responses((status = 404, description = "Always.", body = Envelope)),
)]
async fn blobs(method: Method) -> Refused {
    let message =
        format!("{method} /api/blobs is not supported: weights are not made from parts here");
    let failure = Failure::new(ErrorCode::NotFound, message);
    Refused(failure.hint("put the model's folder (safetensors) among the node's models"))
}

/// Lines that are all there already.
fn lines<T: Serialize>(values: &[T]) -> Response {
    let text: String = values.iter().map(super::stream::line).collect();
    (LINES, text).into_response()
}

fn since_1970(app: &App) -> Duration {
    Duration::from_millis(app.gateway.unix_milliseconds())
}
