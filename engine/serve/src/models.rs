//! `/v1/models`, the one path that two dialects share.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Uri};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use crate::app::App;
use crate::openapi::Routes;
use crate::uri::{Asked, Named, name, query};
use crate::{anthropic, openai};

/// What tells the dialects apart.
#[expect(dead_code, reason = "described, and read from the headers")]
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
struct Anthropics {
    /// Makes it Anthropic's dialect.
    #[param(rename = "anthropic-version")]
    version: Option<String>,
}

/// The models there are, in either dialect.
#[expect(dead_code, reason = "described, never made")]
#[derive(ToSchema)]
#[serde(untagged)]
enum AnyList {
    OpenAi(openai::ModelList),
    Anthropic(anthropic::ModelList),
}

/// A model, in either dialect.
#[expect(dead_code, reason = "described, never made")]
#[derive(ToSchema)]
#[serde(untagged)]
enum AnyModel {
    OpenAi(openai::ModelObject),
    Anthropic(anthropic::ModelObject),
}

/// What went wrong, in either dialect.
#[expect(dead_code, reason = "described, never made")]
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum AnyError {
    OpenAi(openai::Envelope),
    Anthropic(anthropic::Envelope),
}

pub(crate) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(models))
        .routes(routes!(model))
}

/// The models there are, as the dialect that is spoken has them: with the header `anthropic-version` in pages.
#[utoipa::path(
    get,
    path = "/v1/models",
    params(Anthropics, anthropic::Page),
    responses((status = 200, description = "The models.", body = AnyList)),
)]
async fn models(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    page: Asked<anthropic::Page>,
) -> Response {
    let models = app.gateway.models().await;
    if !anthropic::is_spoken(uri.path(), &headers) {
        return openai::list(models);
    }
    match query(page) {
        Ok(page) => anthropic::list(models, &page),
        Err(failure) => anthropic::error_response(failure),
    }
}

/// A model; slashes in its name may stay as they are.
#[utoipa::path(
    get,
    path = "/v1/models/{*id}",
    params(Anthropics, ("id" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The model.", body = AnyModel)),
)]
async fn model(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap, id: Named) -> Response {
    let id = name(id);
    let models = app.gateway.models().await;
    if anthropic::is_spoken(uri.path(), &headers) {
        anthropic::one(models, &id)
    } else {
        openai::one(models, &id)
    }
}
