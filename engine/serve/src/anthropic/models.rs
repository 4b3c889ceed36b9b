//! The list of models as Anthropic's SDKs read it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base::{ErrorCode, Failure};
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::error_response;
use super::model::{ModelList, ModelObject};
use crate::date::rfc3339;
use crate::gateway::ModelInfo;

/// Models on a page if the client does not say.
const LIMIT: usize = 20;
/// Models on a page at most.
const LIMIT_MAX: usize = 1000;

/// Which part of the list is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Models, from 1 to 1000; 20 if it is left out.
    limit: Option<usize>,
    /// What comes after this model.
    after_id: Option<String>,
    /// What comes before it.
    before_id: Option<String>,
}

/// A page of the models.
pub(crate) fn list(models: Vec<ModelInfo>, page: &Page) -> Response {
    match cut(models, page) {
        Ok((models, has_more)) => {
            let data: Vec<ModelObject> = models.into_iter().map(object).collect();
            let id = |model: &ModelObject| model.id.clone();
            Json(ModelList {
                has_more,
                first_id: data.first().map(id),
                last_id: data.last().map(id),
                data,
            })
            .into_response()
        }
        Err(failure) => error_response(failure),
    }
}

/// The models of a page, and whether there are more in its direction.
fn cut(mut models: Vec<ModelInfo>, page: &Page) -> Result<(Vec<ModelInfo>, bool), Failure> {
    let limit = page.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let message = format!("limit must be from 1 to {LIMIT_MAX}");
        return Err(Failure::new(ErrorCode::InvalidRequest, message).param("limit"));
    }
    let place = |id: &String, at: &str| {
        let place = models.iter().position(|model| model.id == *id);
        let message = format!("{at}: there is no model {id}");
        place.ok_or_else(|| Failure::new(ErrorCode::InvalidRequest, message).param(at))
    };
    let after = page.after_id.as_ref().map(|id| place(id, "after_id"));
    let before = page.before_id.as_ref().map(|id| place(id, "before_id"));
    match (after.transpose()?, before.transpose()?) {
        (Some(_), Some(_)) => {
            let message = "after_id and before_id cannot be used together";
            return Err(Failure::new(ErrorCode::InvalidRequest, message).param("before_id"));
        }
        (Some(after), None) => drop(models.drain(..=after)),
        (None, Some(before)) => {
            models.truncate(before);
            let beyond = models.len().saturating_sub(limit);
            models.drain(..beyond);
            return Ok((models, beyond > 0));
        }
        (None, None) => {}
    }
    let has_more = models.len() > limit;
    models.truncate(limit);
    Ok((models, has_more))
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
        lifecycle: "active",
        display_name: model.id.clone(),
        id: model.id,
        created_at: rfc3339(model.created_unix_seconds),
    }
}
