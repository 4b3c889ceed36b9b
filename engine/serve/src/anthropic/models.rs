//! The list of models as Anthropic's SDKs read it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base::{ErrorCode, Failure};

use super::error::error_response;
use super::model::{ModelList, ModelObject};
use crate::date::rfc3339;
use crate::gateway::ModelInfo;

/// All models.
pub(crate) fn list(models: Vec<ModelInfo>) -> Response {
    let data: Vec<ModelObject> = models.into_iter().map(object).collect();
    let id = |model: &ModelObject| model.id.clone();
    Json(ModelList {
        has_more: false,
        first_id: data.first().map(id),
        last_id: data.last().map(id),
        data,
    })
    .into_response()
}

/// The model of that name.
pub(crate) fn one(models: Vec<ModelInfo>, id: &str) -> Response {
    if let Some(model) = models.into_iter().find(|model| model.id == id) {
        return Json(object(model)).into_response();
    }
    let message = format!("there is no model {id}");
    let failure = Failure::new(ErrorCode::ModelNotFound, message);
    error_response(failure.hint("GET /v1/models lists the models there are"))
}

fn object(model: ModelInfo) -> ModelObject {
    ModelObject {
        kind: "model",
        display_name: model.id.clone(),
        id: model.id,
        created_at: rfc3339(model.created_unix_seconds),
    }
}
