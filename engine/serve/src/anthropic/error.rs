//! Anthropic's error envelope, and the names of requests.

use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base::{ErrorCode, Failure};
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::convert::THREAD;
use crate::status::{say_when_to_retry, status_of};

/// Where clients look for the name of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// `{"type": "error", "error": {...}}`, as an answer or in the middle of a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = anthropic::Error)]
pub(crate) struct Envelope {
    #[serde(rename = "type")]
    kind: &'static str,
    error: ErrorOut,
    /// As in the header; only in answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = anthropic::ErrorBody)]
struct ErrorOut {
    #[serde(rename = "type")]
    kind: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    details: Option<Unthreaded>,
}

/// By it clients know that they have to keep the conversation themselves.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = anthropic::ErrorDetails)]
struct Unthreaded {
    error_code: &'static str,
}

impl Envelope {
    /// Place and hint go into the message: the envelope has no fields for them.
    pub(super) fn new(failure: &Failure) -> Self {
        let mut message = failure.to_string();
        if failure.code == ErrorCode::ContextTooLong {
            // Claude Code shortens the conversation and tries again when an error begins with these words.
            message.insert_str(0, "prompt is too long: ");
        }
        let unthreaded = failure.param.as_deref() == Some(THREAD);
        Self {
            kind: "error",
            error: ErrorOut {
                kind: kind_of(failure.code),
                message,
                details: unthreaded.then_some(Unthreaded {
                    error_code: "thread_unsupported_request",
                }),
            },
            request_id: None,
        }
    }
}

/// A failure on its way out in Anthropic's envelope.
pub(super) struct Refused(pub(super) Failure);

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

/// A failure as the answer to a request; it is also the answer's extension, for the list of calls.
pub(crate) fn error_response(failure: Failure) -> Response {
    let (code, retry_after) = (failure.code, failure.retry_after);
    let envelope = Json(Envelope::new(&failure));
    let mut response = (status_of(code), Extension(failure), envelope).into_response();
    say_when_to_retry(response.headers_mut(), code, retry_after);
    response
}

/// Gives an answer the name of its request: in a header, and in the envelope if it is an error.
pub(crate) fn named(response: Response, name: HeaderValue) -> Response {
    let failure: Option<&Failure> = response.extensions().get();
    let envelope = failure.map(|failure| Envelope {
        request_id: name.to_str().ok().map(str::to_owned),
        ..Envelope::new(failure)
    });
    let mut named = match envelope {
        Some(envelope) => {
            let (mut parts, _) = response.into_parts();
            parts.headers.remove(header::CONTENT_LENGTH);
            (parts, Json(envelope)).into_response()
        }
        None => response,
    };
    named.headers_mut().insert(REQUEST_ID, name);
    named
}

const fn kind_of(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidRequest
        | ErrorCode::ContextTooLong
        | ErrorCode::ModelUnsupported
        | ErrorCode::ModelDamaged
        | ErrorCode::PlacementImpossible
        | ErrorCode::MethodNotAllowed => "invalid_request_error",
        ErrorCode::ModelNotFound | ErrorCode::NotFound => "not_found_error",
        ErrorCode::TooLarge => "request_too_large",
        ErrorCode::Unauthenticated => "authentication_error",
        ErrorCode::Forbidden => "permission_error",
        ErrorCode::Overloaded => "rate_limit_error",
        ErrorCode::TimedOut => "timeout_error",
        ErrorCode::NotEnoughMemory
        | ErrorCode::WorkerLost
        | ErrorCode::Cancelled
        | ErrorCode::Internal => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::fmt::Write;

    #[test]
    fn every_code_has_its_type() {
        let mut table = String::new();
        for code in ErrorCode::ALL {
            let number = status_of(code).as_u16();
            writeln!(table, "{number} {} {}", kind_of(code), code.name()).unwrap();
        }
        expect![[r"
            400 invalid_request_error invalid_request
            400 invalid_request_error context_length_exceeded
            404 not_found_error model_not_found
            400 invalid_request_error model_unsupported
            422 invalid_request_error model_damaged
            409 api_error not_enough_memory
            400 invalid_request_error placement_impossible
            403 permission_error forbidden
            404 not_found_error not_found
            405 invalid_request_error method_not_allowed
            413 request_too_large too_large
            429 rate_limit_error overloaded
            408 timeout_error timed_out
            503 api_error worker_lost
            503 api_error cancelled
            500 api_error internal_error
            401 authentication_error invalid_api_key
        "]]
        .assert_eq(&table);
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_in_words_that_clients_know() {
        let failure = Failure::new(ErrorCode::ContextTooLong, "the prompt has 9 tokens");
        let said = serde_json::to_string(&Envelope::new(&failure.hint("shorten it"))).unwrap();
        expect![[r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: the prompt has 9 tokens (hint: shorten it)"}}"#]].assert_eq(&said);
    }

    #[test]
    fn a_thread_is_refused_in_words_that_clients_know() {
        let failure = Failure::new(ErrorCode::InvalidRequest, "thread is not kept here");
        let said = serde_json::to_string(&Envelope::new(&failure.param(THREAD))).unwrap();
        expect![[r#"{"type":"error","error":{"type":"invalid_request_error","message":"thread is not kept here","details":{"error_code":"thread_unsupported_request"}}}"#]].assert_eq(&said);
    }
}
