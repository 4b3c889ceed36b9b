//! `/v1/models`, the one path that two dialects share.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use base::{ErrorCode, Failure};
use http::{HeaderMap, Uri};

use crate::app::App;
use crate::{anthropic, openai};

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/models/{*id}", get(model))
}

async fn models(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    page: Result<Query<anthropic::Page>, QueryRejection>,
) -> Response {
    let models = app.gateway.models().await;
    if !anthropic::is_spoken(uri.path(), &headers) {
        return openai::list(models);
    }
    match page {
        Ok(Query(page)) => anthropic::list(models, &page),
        Err(error) => {
            let message = format!("the query cannot be read: {}", error.body_text());
            anthropic::error_response(Failure::new(ErrorCode::InvalidRequest, message))
        }
    }
}

async fn model(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let id = id.map_or_else(|_| String::new(), |Path(id)| id);
    let models = app.gateway.models().await;
    if anthropic::is_spoken(uri.path(), &headers) {
        anthropic::one(models, &id)
    } else {
        openai::one(models, &id)
    }
}
