//! A generation asked of a peer: one request of an outbound session, its events as a stream.

use std::time::Duration;

use base::{ErrorCode, Failure, TokenEvent};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use wire::peer::Events;

use super::frames::FrameReader;
use super::http::{GENERATE_PATH, whole};
use super::outbound::Outbound;
use crate::limits::GENERATE_TIMEOUT;

/// What the peer needs besides its own limit, so that its answer wins over ours.
const GRACE: Duration = Duration::from_secs(1);

/// Asks for a generation; `order` is the encoded request.
pub(crate) async fn generate(
    link: Outbound,
    order: Bytes,
) -> Result<BoxStream<'static, TokenEvent>, Failure> {
    let Ok(permit) = link.generations.clone().try_acquire_owned() else {
        let failure = Failure::new(
            ErrorCode::Overloaded,
            "too many answers are being generated on that node",
        );
        return Err(failure.hint("try again when some of them are finished"));
    };
    let mut request = Request::new(whole(order));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(GENERATE_PATH);
    let mut requests = link.requests;
    let response = match timeout(GENERATE_TIMEOUT + GRACE, requests.send_request(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => return Err(lost()),
        Err(_) => {
            return Err(Failure::new(
                ErrorCode::TimedOut,
                "the node that runs the model did not begin in time",
            ));
        }
    };
    match response.status() {
        StatusCode::OK => Ok(events(response, permit)),
        StatusCode::UNPROCESSABLE_ENTITY => Err(told(response).await.unwrap_or_else(lost)),
        status => Err(Failure::new(
            ErrorCode::Internal,
            format!("the node that runs the model answered {status}"),
        )),
    }
}

/// The failure for a link that is not there, or no longer.
pub(crate) fn lost() -> Failure {
    Failure::new(
        ErrorCode::WorkerLost,
        "the node that runs the model is gone",
    )
}

/// Reads events until the last one or until something breaks. Dropping it tells the peer to stop.
fn events(
    response: Response<Incoming>,
    permit: OwnedSemaphorePermit,
) -> BoxStream<'static, TokenEvent> {
    let reading = Some((FrameReader::<Events>::new(response.into_body()), permit));
    let batches = stream::unfold(reading, |reading| async {
        let (mut frames, permit) = reading?;
        let Events(events) = match frames.next().await {
            Ok(events) => events?,
            Err(error) => {
                tracing::debug!(%error, "a generation broke");
                return None;
            }
        };
        let over = events.iter().any(TokenEvent::is_last);
        Some((stream::iter(events), (!over).then_some((frames, permit))))
    });
    batches.flatten().boxed()
}

/// The failure that the peer answered instead of what it was asked for.
pub(super) async fn told(response: Response<Incoming>) -> Option<Failure> {
    let mut frames = FrameReader::<Failure>::new(response.into_body());
    timeout(GENERATE_TIMEOUT, frames.next()).await.ok()?.ok()?
}
