//! Asking a member for files: what it has of a repository, and that it fetches one itself, on the session; bytes, on a
//! connection for that.

use base::{ErrorCode, Failure, HeldFiles};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::bulk::Bulk;
use super::frames::FrameReader;
use super::generation::told;
use super::http::{BYTES_PATH, Body, DOWNLOAD_PATH, FILES_PATH, whole};
use super::outbound::Outbound;
use crate::BytesError;
use crate::limits::{BYTES_STALL, FILES_TIMEOUT};

/// Asks what there is of a repository; `order` is the encoded question.
pub(crate) async fn files(link: Outbound, order: Bytes) -> Option<HeldFiles> {
    let mut requests = link.requests;
    let asking = async {
        let response = requests.send_request(post(FILES_PATH, order)).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let mut frames = FrameReader::<HeldFiles>::new(response.into_body());
        frames.next().await.ok()?
    };
    timeout(FILES_TIMEOUT, asking).await.ok()?
}

/// Wishes that it fetches a repository; `order` is the encoded wish.
pub(crate) async fn download(link: Outbound, order: Bytes) -> Result<(), Failure> {
    let mut requests = link.requests;
    let asked = requests.send_request(post(DOWNLOAD_PATH, order));
    let silent = || Failure::new(ErrorCode::TimedOut, "it does not answer");
    match timeout(FILES_TIMEOUT, asked).await {
        Ok(Ok(response)) if response.status() == StatusCode::OK => Ok(()),
        Ok(Ok(response)) => Err(told(response).await.unwrap_or_else(silent)),
        Ok(Err(_)) | Err(_) => Err(silent()),
    }
}

/// Asks for `length` bytes of a file; `order` is the encoded question.
pub(crate) async fn bytes(
    bulk: &Bulk,
    order: Bytes,
    length: u64,
) -> Result<BoxStream<'static, Bytes>, BytesError> {
    let requests = bulk.requests().await;
    let mut requests = requests.map_err(|error| {
        tracing::debug!(%error, "no connection for files");
        BytesError::Unreachable
    })?;
    let asked = requests.send_request(post(BYTES_PATH, order));
    let Ok(Ok(response)) = timeout(FILES_TIMEOUT, asked).await else {
        bulk.give_up().await;
        return Err(BytesError::Unreachable);
    };
    match response.status() {
        StatusCode::OK => Ok(pieces(response, length)),
        StatusCode::TOO_MANY_REQUESTS => Err(BytesError::Busy),
        _ => Err(BytesError::NotThere),
    }
}

fn post(path: &'static str, order: Bytes) -> Request<Body> {
    let mut request = Request::new(whole(order));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(path);
    request
}

/// What comes, until all has, or something breaks or stands still.
fn pieces(response: Response<Incoming>, length: u64) -> BoxStream<'static, Bytes> {
    let reading = (response.into_body(), length);
    let pieces = stream::unfold(reading, |(mut body, missing)| async move {
        if missing == 0 {
            return None;
        }
        let frame = timeout(BYTES_STALL, body.frame()).await.ok()??;
        // Anything else than bytes comes after the last of them.
        let mut piece = frame.ok()?.into_data().ok()?;
        piece.truncate(usize::try_from(missing).unwrap_or(usize::MAX));
        let missing = missing - piece.len() as u64;
        Some((piece, (body, missing)))
    });
    pieces.boxed()
}
