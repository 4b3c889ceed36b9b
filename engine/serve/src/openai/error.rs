//! `OpenAI`'s error envelope.

use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base::{ErrorCode, Failure};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::status::{say_when_to_retry, status_of};

/// `{"error": {...}}`, as an answer or in the middle of a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = openai::Error)]
pub(crate) struct Envelope {
    error: ErrorOut,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = openai::ErrorBody)]
struct ErrorOut {
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<String>,
    code: &'static str,
}

impl Envelope {
    /// The hint goes into the message: the envelope has no field for it, and clients show nothing else.
    pub(super) fn new(failure: Failure) -> Self {
        Self {
            error: ErrorOut {
                message: failure.to_string(),
                kind: kind_of(failure.code),
                code: if is_missing_response(&failure) {
                    "previous_response_not_found"
                } else {
                    failure.code.name()
                },
                param: failure.param,
            },
        }
    }
}

/// Where a request names the response that it goes on from.
pub(super) const PREVIOUS: &str = "previous_response_id";

/// By a code of its own clients know that they have to send the whole conversation.
fn is_missing_response(failure: &Failure) -> bool {
    failure.code == ErrorCode::NotFound && failure.param.as_deref() == Some(PREVIOUS)
}

/// A failure's status. What is wrong with a request is wrong with it, even if it is that something is not found.
fn status(failure: &Failure) -> StatusCode {
    if is_missing_response(failure) {
        StatusCode::BAD_REQUEST
    } else {
        status_of(failure.code)
    }
}

/// A failure as a message of a WebSocket.
pub(super) fn message(failure: Failure) -> Value {
    let status = status(&failure).as_u16();
    let mut message = json!(Envelope::new(failure));
    message["type"] = json!("error");
    message["status"] = json!(status);
    message
}

/// A failure as the answer to a request; it is also the answer's extension, for the list of calls.
pub(crate) fn error_response(failure: Failure) -> Response {
    let (code, retry_after) = (failure.code, failure.retry_after);
    let told = Extension(failure.clone());
    let status = status(&failure);
    let mut response = (status, told, Json(Envelope::new(failure))).into_response();
    say_when_to_retry(response.headers_mut(), code, retry_after);
    response
}

const fn kind_of(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidRequest
        | ErrorCode::ContextTooLong
        | ErrorCode::ModelNotFound
        | ErrorCode::ModelUnsupported
        | ErrorCode::ModelDamaged
        | ErrorCode::PlacementImpossible
        | ErrorCode::NotFound
        | ErrorCode::MethodNotAllowed
        | ErrorCode::TooLarge => "invalid_request_error",
        ErrorCode::Unauthenticated => "authentication_error",
        ErrorCode::Forbidden => "permission_error",
        ErrorCode::Overloaded => "rate_limit_error",
        ErrorCode::NotEnoughMemory
        | ErrorCode::TimedOut
        | ErrorCode::WorkerLost
        | ErrorCode::Cancelled
        | ErrorCode::Internal => "server_error",
    }
}
