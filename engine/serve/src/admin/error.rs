//! The admin API's error envelope.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base::Failure;
use serde::Serialize;
use utoipa::ToSchema;

use super::model::ErrorOut;
use crate::status::{say_when_to_retry, status_of};

/// `{"error": {"code", "message", "hint"}}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct Envelope {
    error: ErrorOut,
}

/// A failure on its way out in the admin API's envelope.
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

/// A failure as the answer to a request.
pub(crate) fn error_response(failure: Failure) -> Response {
    let (code, retry_after) = (failure.code, failure.retry_after);
    let error = failure.into();
    let mut response = (status_of(code), Json(Envelope { error })).into_response();
    say_when_to_retry(response.headers_mut(), code, retry_after);
    response
}
