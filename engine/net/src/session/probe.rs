//! How much a link carries, measured once for each session: bytes are sent to the other end, which throws them away.
//! What comes out is what peers of Espalier get, encryption included, and not what the cable could do.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::http::{PROBE_PATH, whole};
use super::outbound::Outbound;
use crate::limits::{PROBE_BYTES_MAX, PROBE_STREAMS, PROBE_TIMEOUT};

/// Sizes of one stream's share: the larger one only where the smaller one was through before it told much.
const SHARES: [usize; 2] = [64 << 10, PROBE_BYTES_MAX];
/// A measurement that took so long is one.
const ENOUGH: Duration = Duration::from_millis(20);

/// Bytes per second from here to the other end; `None` if it did not take part.
pub(crate) async fn bandwidth(link: &Outbound) -> Option<u64> {
    let mut measured = None;
    for share in SHARES {
        let took = timeout(PROBE_TIMEOUT, send(link, share)).await.ok()??;
        let bytes = (share * PROBE_STREAMS) as f64;
        measured = Some((bytes / took.as_secs_f64().max(1e-6)) as u64);
        if took >= ENOUGH {
            break;
        }
    }
    measured
}

/// Several streams at once: one alone may send only a window ahead of its reader.
async fn send(link: &Outbound, share: usize) -> Option<Duration> {
    let zeros = Bytes::from(vec![0; share]);
    let began = Instant::now();
    let streams = (0..PROBE_STREAMS).map(|_| {
        let mut request = Request::new(whole(zeros.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(PROBE_PATH);
        let mut requests = link.requests.clone();
        async move { requests.send_request(request).await }
    });
    let answers = join_all(streams).await;
    let took = began.elapsed();
    let taken = |answer: &hyper::Result<Response<Incoming>>| {
        let answer = answer.as_ref();
        answer.is_ok_and(|answer| answer.status() == StatusCode::NO_CONTENT)
    };
    answers.iter().all(taken).then_some(took)
}

/// The other end's part: takes the bytes of a stream, no more than one may send.
pub(crate) async fn swallow(request: Request<Incoming>) -> StatusCode {
    let mut body: Limited<Incoming> = Limited::new(request.into_body(), PROBE_BYTES_MAX);
    let reading = async {
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return StatusCode::PAYLOAD_TOO_LARGE;
            }
        }
        StatusCode::NO_CONTENT
    };
    let read = timeout(PROBE_TIMEOUT, reading).await;
    read.unwrap_or(StatusCode::REQUEST_TIMEOUT)
}
