//! The one table from a kind of failure to an HTTP status.

use std::time::Duration;

use base::ErrorCode;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};

/// The status of an answer that fails with `code`. Clients of the `OpenAI` SDK retry 408, 409, 429 and 5xx on their own,
/// so only what may go away by itself has one of those; and 5xx is what no other request and no other time limit of the
/// client's would have helped against.
pub const fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidRequest
        | ErrorCode::ContextTooLong
        | ErrorCode::ModelUnsupported
        | ErrorCode::PlacementImpossible => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::ModelNotFound | ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::ModelDamaged => StatusCode::UNPROCESSABLE_ENTITY,
        // It is at odds with what runs now; a smaller model, or the same one later, is not.
        ErrorCode::NotEnoughMemory => StatusCode::CONFLICT,
        // Most often of a time limit that came with the request.
        ErrorCode::TimedOut => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::WorkerLost | ErrorCode::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Tells a client that came when there was too much to do when to come back: in whole seconds, at least one.
pub(crate) fn say_when_to_retry(headers: &mut HeaderMap, code: ErrorCode, pause: Option<Duration>) {
    if code == ErrorCode::Overloaded {
        let seconds = pause.map_or(1.0, |pause| pause.as_secs_f64().ceil().max(1.0));
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::fmt::Write;

    #[test]
    fn every_code_has_its_status() {
        let mut table = String::new();
        for code in ErrorCode::ALL {
            let status = status_of(code);
            writeln!(table, "{} {}", status.as_u16(), code.name()).unwrap();
        }
        expect![[r"
            400 invalid_request
            400 context_length_exceeded
            404 model_not_found
            400 model_unsupported
            422 model_damaged
            409 not_enough_memory
            400 placement_impossible
            403 forbidden
            404 not_found
            405 method_not_allowed
            413 too_large
            429 overloaded
            408 timed_out
            503 worker_lost
            503 cancelled
            500 internal_error
            401 invalid_api_key
        "]]
        .assert_eq(&table);
    }
}
