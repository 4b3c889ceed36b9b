//! The events of one worker, parted into one bounded stream for each request.
//!
//! The worker's reader never waits here: who falls too far behind is cut off, who is gone is cancelled.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use base::{ErrorCode, Failure, RequestId, TokenEvent};
use futures::Stream;
use tokio::sync::mpsc;
use wire::worker::ToWorker;

use super::pipes::FrameWriter;

/// Events that wait for one client. A few thousand tokens: a whole long answer fits, so only a client that reads
/// nothing at all of an endless one is cut off. About 200 KiB when full.
const UNREAD_EVENTS_MAX: usize = 4096;

/// The streams that a worker feeds. Shared by its reader, which fills them, and whoever submits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    by_request: HashMap<RequestId, Feed>,
    /// The worker is gone: no stream can be opened any more.
    closed: bool,
}

#[derive(Debug)]
struct Feed {
    events: mpsc::Sender<TokenEvent>,
    cut_off: Arc<AtomicBool>,
}

/// The events of one request. Ends after `Finished` or `Failed`, or without either when the worker is gone.
/// Dropping it cancels the request.
#[derive(Debug)]
pub(crate) struct TokenStream {
    events: mpsc::Receiver<TokenEvent>,
    cut_off: Arc<AtomicBool>,
    over: bool,
    request: RequestId,
    streams: Streams,
    worker: FrameWriter,
}

impl Streams {
    /// Opens the stream of a request; `None` when the worker is gone or already has a request of that name.
    pub(crate) fn open(&self, request: RequestId, worker: FrameWriter) -> Option<TokenStream> {
        let (events, receiver) = mpsc::channel(UNREAD_EVENTS_MAX);
        let cut_off = Arc::new(AtomicBool::new(false));
        let mut open = self.lock();
        if open.closed || open.by_request.contains_key(&request) {
            return None;
        }
        let feed = Feed {
            events,
            cut_off: Arc::clone(&cut_off),
        };
        open.by_request.insert(request, feed);
        Some(TokenStream {
            events: receiver,
            cut_off,
            over: false,
            request,
            streams: self.clone(),
            worker,
        })
    }

    /// Hands an event to its stream. `Err` if nobody takes it, so that the worker can be told to stop making more.
    pub(crate) fn deliver(&self, request: RequestId, event: TokenEvent) -> Result<(), Unwanted> {
        let last = matches!(event, TokenEvent::Finished(_) | TokenEvent::Failed(_));
        let mut open = self.lock();
        let Some(feed) = open.by_request.get(&request) else {
            // The worker has not seen the cancellation yet; it has nothing left to cancel after its last event.
            return if last { Ok(()) } else { Err(Unwanted) };
        };
        let outcome = feed.events.try_send(event);
        if let Err(mpsc::error::TrySendError::Full(_)) = outcome {
            feed.cut_off.store(true, Ordering::Release);
        }
        if last || outcome.is_err() {
            open.by_request.remove(&request);
        }
        match outcome {
            Ok(()) => Ok(()),
            Err(_) if last => Ok(()),
            Err(_) => Err(Unwanted),
        }
    }

    /// Ends every stream: the worker is gone.
    pub(crate) fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        open.by_request.clear();
    }

    /// Number of requests under way.
    pub(crate) fn count(&self) -> usize {
        self.lock().by_request.len()
    }

    fn forget(&self, request: RequestId) -> bool {
        self.lock().by_request.remove(&request).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // No code that holds the lock can panic half-way through a change.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event that nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unwanted;

impl Stream for TokenStream {
    type Item = TokenEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<TokenEvent>> {
        if self.over {
            return Poll::Ready(None);
        }
        let event = ready!(self.events.poll_recv(context)).or_else(|| {
            self.cut_off.load(Ordering::Acquire).then(|| {
                let failure = Failure::new(
                    ErrorCode::Cancelled,
                    "the answer was ended because it was not read",
                );
                TokenEvent::Failed(failure.hint("read the stream as it comes"))
            })
        });
        self.over = matches!(
            event,
            None | Some(TokenEvent::Finished(_) | TokenEvent::Failed(_))
        );
        Poll::Ready(event)
    }
}

impl Drop for TokenStream {
    fn drop(&mut self) {
        if self.streams.forget(self.request) {
            // If the queue is full, the next event finds nobody and the reader says it again.
            let _ = self.worker.write(&ToWorker::Cancel(self.request));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::FinishReason;
    use futures::StreamExt;
    use wire::codec::Decoder;

    const REQUEST: RequestId = RequestId(7);

    fn token(token: u32) -> TokenEvent {
        TokenEvent::Token {
            token,
            logprob: None,
        }
    }

    /// Streams, one of them open, and the other end of the worker's standard input.
    fn opened() -> (Streams, TokenStream, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (writer, _task) = FrameWriter::start(near);
        let streams = Streams::default();
        let stream = streams.open(REQUEST, writer).unwrap();
        (streams, stream, far)
    }

    async fn written(mut far: tokio::io::DuplexStream) -> Vec<ToWorker> {
        let mut bytes = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut far, &mut bytes)
            .await
            .unwrap();
        let mut decoder = Decoder::new(wire::worker::FRAME_BYTES_MAX);
        decoder.push(&bytes);
        std::iter::from_fn(|| decoder.next().unwrap()).collect()
    }

    #[tokio::test]
    async fn events_come_in_order_and_end() {
        let (streams, stream, far) = opened();
        let sent = [token(1), token(2), TokenEvent::Finished(FinishReason::Stop)];
        for event in &sent {
            streams.deliver(REQUEST, event.clone()).unwrap();
        }
        assert_eq!(stream.collect::<Vec<_>>().await, sent);
        assert_eq!(streams.count(), 0);
        assert_eq!(written(far).await, []);
    }

    #[tokio::test]
    async fn a_dropped_stream_is_cancelled_once() {
        let (streams, stream, far) = opened();
        streams.deliver(REQUEST, token(1)).unwrap();
        drop(stream);
        assert_eq!(streams.deliver(REQUEST, token(2)), Err(Unwanted));
        let last = TokenEvent::Finished(FinishReason::Length);
        assert_eq!(streams.deliver(REQUEST, last), Ok(()));
        assert_eq!(written(far).await, [ToWorker::Cancel(REQUEST)]);
    }

    #[tokio::test]
    async fn who_does_not_read_is_cut_off_and_told_so() {
        let (streams, stream, _far) = opened();
        for count in 0..UNREAD_EVENTS_MAX {
            streams.deliver(REQUEST, token(count as u32)).unwrap();
        }
        assert_eq!(streams.deliver(REQUEST, token(0)), Err(Unwanted));
        let events: Vec<_> = stream.collect().await;
        assert_eq!(events.len(), UNREAD_EVENTS_MAX + 1);
        assert!(matches!(events.last(), Some(TokenEvent::Failed(_))));
    }

    #[tokio::test]
    async fn a_lost_worker_ends_its_streams_without_a_last_event() {
        let (streams, stream, _far) = opened();
        streams.deliver(REQUEST, token(1)).unwrap();
        streams.close();
        assert_eq!(stream.collect::<Vec<_>>().await, [token(1)]);
        let (writer, _task) = FrameWriter::start(tokio::io::sink());
        assert!(streams.open(REQUEST, writer).is_none());
    }
}
