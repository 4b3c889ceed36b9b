//! The endpoints.

mod answers;
mod listing;
mod managing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use axum::{Json, Router};
use base::{ErrorCode, Failure};
use http::{HeaderName, Method, header};
use serde::Serialize;

use super::convert::{parse_chat, parse_copy, parse_create, parse_embed, parse_embedding};
use super::convert::{parse_generate, parse_name};
use super::error::Refused;
use super::model::Version;
use crate::app::App;
use crate::body;
use crate::calls::Noted;
use crate::standing;
use answers::Shape;

/// What Ollama's clients expect to read at `/`.
pub(crate) const RUNNING: &str = "Ollama is running";
/// The version of Ollama whose API this is: clients compare it with the one in which what they need was added.
const VERSION: &str = "0.13.5";
const LINES: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/x-ndjson")];

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/version", get(version))
        .route("/api/tags", get(tags))
        .route("/api/ps", get(ps))
        .route("/api/show", post(show))
        .route("/api/chat", post(chat))
        .route("/api/generate", post(generate))
        .route("/api/embed", post(embed))
        .route("/api/embeddings", post(embeddings))
        .route("/api/create", post(create))
        .route("/api/copy", post(copy))
        .route("/api/delete", delete(delete_model))
        .route("/api/pull", post(pull))
        .route("/api/push", post(push))
        .route("/api/blobs/{digest}", any(blobs))
}

async fn version() -> Json<Version> {
    Json(Version { version: VERSION })
}

async fn tags(State(app): State<Arc<App>>) -> Response {
    Json(listing::tags(app.gateway.models().await)).into_response()
}

async fn ps(State(app): State<Arc<App>>) -> Response {
    let view = app.gateway.changes().borrow().clone();
    Json(listing::loaded(&view, &app.gateway.models().await)).into_response()
}

async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let named = parse_name(&body::read_any(request).await?)?;
    let description = app.gateway.describe(&named.model).await?;
    Ok(Json(listing::show(&description, named.verbose)).into_response())
}

async fn chat(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let (began, noted) = (Instant::now(), Noted::of(&request));
    let (json, standing) = standing::read_any(request).await?;
    let mut asked = parse_chat(&json, app.fresh()?)?;
    asked.stand(standing);
    answers::answer(&app, asked, Shape::Chat, began, noted).await
}

async fn generate(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let (began, noted) = (Instant::now(), Noted::of(&request));
    let (json, standing) = standing::read_any(request).await?;
    let mut asked = parse_generate(&json, app.fresh()?)?;
    asked.stand(standing);
    answers::answer(&app, asked, Shape::Generate, began, noted).await
}

async fn embed(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let (began, noted) = (Instant::now(), Noted::of(&request));
    let (json, standing) = standing::read_any(request).await?;
    let mut asked = parse_embed(&json, app.fresh()?)?;
    asked.stand(standing);
    answers::embed(&app, asked, began, noted).await
}

async fn embeddings(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let noted = Noted::of(&request);
    let (json, standing) = standing::read_any(request).await?;
    let mut asked = parse_embedding(&json, app.fresh()?)?;
    asked.stand(standing);
    answers::embedding(&app, asked, noted).await
}

async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let create = parse_create(&body::read_any(request).await?)?;
    managing::create(&app, create).await
}

async fn copy(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let (source, copy) = parse_copy(&body::read_any(request).await?)?;
    managing::copy(&app, &source, &copy).await
}

async fn delete_model(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let named = parse_name(&body::read_any(request).await?)?;
    app.gateway.delete(&named.model).await?;
    Ok(().into_response())
}

async fn pull(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let named = parse_name(&body::read_any(request).await?)?;
    managing::pull(&app, &named).await
}

async fn push() -> Refused {
    let message = "models are not sent to a registry from here";
    let failure = Failure::new(ErrorCode::InvalidRequest, message);
    Refused(failure.hint("copy the model's folder instead"))
}

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
