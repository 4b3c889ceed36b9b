//! Ollama's error envelope.

use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base::{ErrorCode, Failure};
use serde::Serialize;
use utoipa::ToSchema;

use crate::status::{say_when_to_retry, status_of};

/// `{"error": "..."}`, as an answer or as a line of a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::Error)]
pub(crate) struct Envelope {
    error: String,
}

impl Envelope {
    /// The envelope has no field for the kind, so clients look for words in the message.
    pub(super) fn new(failure: &Failure) -> Self {
        let error = match failure.code {
            ErrorCode::ModelNotFound => format!("model not found: {failure}"),
            ErrorCode::ContextTooLong => format!("the context length is exceeded: {failure}"),
            ErrorCode::Overloaded => format!("server busy, please try again: {failure}"),
            ErrorCode::InvalidRequest
            | ErrorCode::ModelUnsupported
            | ErrorCode::ModelDamaged
            | ErrorCode::NotEnoughMemory
            | ErrorCode::PlacementImpossible
            | ErrorCode::Forbidden
            | ErrorCode::NotFound
            | ErrorCode::MethodNotAllowed
            | ErrorCode::TooLarge
            | ErrorCode::TimedOut
            | ErrorCode::WorkerLost
            | ErrorCode::Cancelled
            | ErrorCode::Internal
            | ErrorCode::Unauthenticated => failure.to_string(),
        };
        Self { error }
    }
}

/// A failure on its way out in Ollama's envelope.
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

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(code: ErrorCode, expected: &Expect) {
        let failure = Failure::new(code, "it went wrong").hint("do this");
        let said = serde_json::to_string(&Envelope::new(&failure)).unwrap();
        expected.assert_eq(&format!("{} {said}", status_of(code).as_u16()));
    }

    #[test]
    fn clients_find_the_words_that_they_look_for() {
        check(
            ErrorCode::ModelNotFound,
            &expect![[r#"404 {"error":"model not found: it went wrong (hint: do this)"}"#]],
        );
        check(
            ErrorCode::ContextTooLong,
            &expect![[
                r#"400 {"error":"the context length is exceeded: it went wrong (hint: do this)"}"#
            ]],
        );
        check(
            ErrorCode::Overloaded,
            &expect![[
                r#"429 {"error":"server busy, please try again: it went wrong (hint: do this)"}"#
            ]],
        );
        check(
            ErrorCode::WorkerLost,
            &expect![[r#"503 {"error":"it went wrong (hint: do this)"}"#]],
        );
    }
}
