//! Reads a request's body: JSON by its label, of limited size, within limited time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use base::{ErrorCode, Failure};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

/// A prompt of a million tokens, as ids and as text, is about 8 MB of JSON.
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;
/// Programs send from memory on the same machine; a person's slow link would still manage half a megabyte a second.
const BODY_LIMIT: Duration = Duration::from_secs(30);
/// Of a body that is too large so much is read and thrown away: a client that is still sending does not see the
/// answer. Beyond it, or after the time, the connection is simply closed.
const DISCARDED_BYTES_MAX: usize = 64 << 20;
/// See [`DISCARDED_BYTES_MAX`].
const DISCARD_LIMIT: Duration = Duration::from_secs(3);

/// The whole body of a request that says it is JSON.
pub(crate) async fn read(request: Request) -> Result<Bytes, Failure> {
    if !is_json(request.headers()) {
        let failure = Failure::new(ErrorCode::InvalidRequest, "the body must be JSON");
        return Err(failure.hint("send it with the header Content-Type: application/json"));
    }
    read_any(request).await
}

/// The whole body of a request, whatever it says of it: Ollama's users send JSON with `curl -d`, which calls it a form.
/// That a page elsewhere can send such a body too is the guard's to see.
pub(crate) async fn read_any(request: Request) -> Result<Bytes, Failure> {
    let (parts, body) = request.into_parts();
    if announced_bytes(&parts.headers).is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        // A client that waits to be told to go on has not sent anything.
        if !parts.headers.contains_key(header::EXPECT) {
            discard(body).await;
        }
        return Err(too_large());
    }
    match timeout(BODY_LIMIT, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Failure::new(
            ErrorCode::InvalidRequest,
            "the body ended before it was whole",
        )),
        Err(_) => Err(Failure::new(
            ErrorCode::TimedOut,
            format!(
                "the body did not arrive within {} seconds",
                BODY_LIMIT.as_secs()
            ),
        )),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = value.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn too_large() -> Failure {
    let message = format!("the body is larger than {} MiB", BODY_BYTES_MAX >> 20);
    Failure::new(ErrorCode::TooLarge, message).hint("send less in one request")
}

async fn discard(mut body: Body) {
    let reading = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARDED_BYTES_MAX {
                return;
            }
        }
    };
    // Whether it ended or not, the answer is the same.
    let _ = timeout(DISCARD_LIMIT, reading).await;
}
