//! The HTTP/2 that both sides of a session agree on: paths, headers, bodies, and tasks that end with the session.

use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, Stream};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::name;

/// The long-lived stream of peer frames: the caller's in the request, pongs in the response.
pub(crate) const CONTROL_PATH: &str = "/control";
/// One generation: the order in the request, its events in the response.
pub(crate) const GENERATE_PATH: &str = "/generate";
/// The sender's roster, told anew when it changes.
pub(crate) const ROSTER_PATH: &str = "/roster";
/// Bytes that the receiver throws away: how fast they arrive is measured.
pub(crate) const PROBE_PATH: &str = "/probe";
/// What there is of a repository: the question in the request, [`base::HeldFiles`] in the response.
pub(crate) const FILES_PATH: &str = "/files";
/// A revision of a repository that the receiver is to fetch.
pub(crate) const DOWNLOAD_PATH: &str = "/download";
/// Bytes of a file; asked for on a connection of its own, so that they hold up neither pings nor tokens.
pub(crate) const BYTES_PATH: &str = "/bytes";
/// The sender's name.
const NAME: HeaderName = HeaderName::from_static("espalier-name");
/// The sender's cluster name.
const CLUSTER: HeaderName = HeaderName::from_static("espalier-cluster");

/// Any body of ours. It cannot fail: a stream that breaks just ends.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A body of one piece.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body of a piece for each item; nothing is taken from the stream before the reader has room.
pub(crate) fn streamed(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))).boxed_unsync()
}

/// A body of what comes out of a queue.
pub(crate) fn queued(mut queue: mpsc::Receiver<Bytes>) -> Body {
    streamed(stream::poll_fn(move |context| queue.poll_recv(context)))
}

/// Says who sends a request or response on the control stream.
pub(crate) fn write_names(headers: &mut HeaderMap, name: &str, cluster_name: &str) {
    for (header, text) in [(NAME, name), (CLUSTER, cluster_name)] {
        // A cleaned name has no control characters, so it is a header value.
        if let Ok(value) = HeaderValue::from_bytes(name::clean(text).as_bytes()) {
            headers.insert(header, value);
        }
    }
}

/// The sender's name and cluster name; empty where they are missing.
pub(crate) fn read_names(headers: &HeaderMap) -> (String, String) {
    let text = |header| {
        headers
            .get(header)
            .map(|value| name::clean(&String::from_utf8_lossy(value.as_bytes())))
            .unwrap_or_default()
    };
    (text(NAME), text(CLUSTER))
}

/// Runs hyper's tasks for one session and ends them with it.
#[derive(Debug, Clone)]
pub(crate) struct SessionTasks(pub(crate) CancellationToken);

impl<F> hyper::rt::Executor<F> for SessionTasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        let stop = self.0.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled_owned(task).await;
        });
    }
}
