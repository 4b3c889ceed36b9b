//! A session that a peer opened: receives its records and pings, runs generations for it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use base::{Failure, NodeId, TokenEvent};
use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use wire::peer::Events;
use wire::{Decoder, Frame};

use super::frames::FrameReader;
use super::handshake::Member;
use super::heartbeat::Heartbeat;
use super::http::{
    BYTES_PATH, Body, CONTROL_PATH, DOWNLOAD_PATH, FILES_PATH, GENERATE_PATH, PROBE_PATH,
    ROSTER_PATH, SessionTasks, queued, read_names, streamed, whole, write_names,
};
use super::lending::{self, Borrower};
use super::{Context, Direction, ProvenBy, SessionId, introduce, probe};
use crate::hub::{HubMessage, Proven};
use crate::limits::{
    CONNECTION_WINDOW_BYTES, CONTROL_TIMEOUT, FILES_TIMEOUT, GENERATE_TIMEOUT, HEADER_BYTES_MAX,
    PING_EVERY, PONG_QUEUE, STREAM_WINDOW_BYTES, STREAMS_MAX,
};
use crate::{PeerFrame, Roster};

/// Length field of a frame, which its cap does not count.
const FRAME_OVERHEAD_BYTES: usize = 4;
/// Most events in one frame. They are together only when the reader is behind; a whole window holds some thousand.
const EVENTS_PER_FRAME: usize = 64;

/// A session with a member that called.
struct Inbound {
    context: Arc<Context>,
    id: SessionId,
    node: NodeId,
    port: u16,
    by: ProvenBy,
    local_ip: IpAddr,
    remote_ip: IpAddr,
    has_control: AtomicBool,
    /// Counts what is lent on this session.
    lent: Arc<AtomicU64>,
    stop: CancellationToken,
}

/// Serves a proven member until it hangs up, falls silent, or the hub ends the session.
pub(crate) async fn serve(context: Arc<Context>, member: Member, id: SessionId) {
    let tcp = member.stream.get_ref().0;
    let Ok((local, remote)) = tcp
        .local_addr()
        .and_then(|local| Ok((local, tcp.peer_addr()?)))
    else {
        return;
    };
    let stop = context.stop.child_token();
    let _ends_with_us = stop.clone().drop_guard();
    let session = Arc::new(Inbound {
        context,
        id,
        node: member.node,
        port: member.port,
        by: member.by,
        local_ip: local.ip(),
        remote_ip: remote.ip(),
        has_control: AtomicBool::new(false),
        lent: Arc::default(),
        stop,
    });
    session.clone().run(member.stream).await;
    // Before the news of its end, so that the hub can tell a control stream that opens too late.
    session.stop.cancel();
    let ended = HubMessage::Ended {
        node: session.node,
        id,
    };
    // A closed hub has no use for it.
    let _ = session.context.hub.send(ended).await;
}

impl Inbound {
    async fn run(self: Arc<Self>, stream: TlsStream<TcpStream>) {
        let session = self.clone();
        let service = service_fn(move |request| {
            let session = session.clone();
            async move { Ok::<_, Infallible>(session.answer(request).await) }
        });
        let connection = Builder::new(SessionTasks(self.stop.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let idle = async {
            tokio::time::sleep(CONTROL_TIMEOUT).await;
            if self.has_control.load(Ordering::Acquire) {
                std::future::pending::<()>().await;
            }
            lending::until_idle(&self.lent).await;
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = idle => {}
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(node = %self.node.short(), %error, "an inbound session broke");
                }
            }
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, CONTROL_PATH) => self.control(request).await,
            (&Method::POST, GENERATE_PATH) => self.generate(request).await,
            (&Method::POST, PROBE_PATH) => status(probe::swallow(request).await),
            (&Method::POST, FILES_PATH) => self.files(request).await,
            (&Method::POST, DOWNLOAD_PATH) => self.download(request).await,
            (&Method::POST, BYTES_PATH) => self.bytes(request).await,
            (&Method::POST, ROSTER_PATH) if self.by == ProvenBy::Roster => {
                self.roster(request).await
            }
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    /// Opens the one control stream of this session.
    async fn control(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        if self.has_control.swap(true, Ordering::AcqRel) {
            return status(StatusCode::CONFLICT);
        }
        let (name, cluster_name) = read_names(request.headers());
        let proven = HubMessage::Proven(Proven {
            id: self.id,
            node: self.node,
            direction: Direction::Inbound,
            by: self.by,
            name,
            cluster_name,
            local_ip: self.local_ip,
            remote_ip: self.remote_ip,
            port: Some(self.port),
            given: None,
            outbound: None,
            stop: self.stop.clone(),
        });
        if self.context.hub.send(proven).await.is_err() {
            return status(StatusCode::SERVICE_UNAVAILABLE);
        }
        let (pongs, queue) = mpsc::channel(PONG_QUEUE);
        let mut response = Response::new(queued(queue));
        write_names(
            response.headers_mut(),
            &self.context.own.name,
            &self.context.own.cluster_name,
        );
        let tasks = SessionTasks(self.stop.clone());
        let frames = FrameReader::new(request.into_body());
        hyper::rt::Executor::execute(&tasks, async move {
            let why = self.listen(frames, pongs).await;
            tracing::debug!(node = %self.node.short(), why, "an inbound session ended");
            self.stop.cancel();
        });
        response
    }

    /// Takes the peer's frames until something is wrong with them.
    async fn listen(
        &self,
        mut frames: FrameReader<PeerFrame>,
        pongs: mpsc::Sender<Bytes>,
    ) -> &'static str {
        let mut heartbeat = Heartbeat::default();
        let mut turns = interval(PING_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let frame = tokio::select! {
                biased;
                frame = frames.next() => frame,
                _ = turns.tick() => {
                    if heartbeat.turn() {
                        return "it fell silent";
                    }
                    continue;
                }
            };
            heartbeat.heard();
            match frame {
                Ok(Some(PeerFrame::Ping(sent_us))) => {
                    let pong = wire::encode(&PeerFrame::Pong(sent_us));
                    if !pong.is_ok_and(|bytes| pongs.try_send(bytes.into()).is_ok()) {
                        return "it does not read its pongs";
                    }
                }
                Ok(Some(PeerFrame::Leaving)) => return "it said goodbye",
                Ok(Some(PeerFrame::Pong(_))) => return "it sent a pong that nobody asked for",
                Ok(Some(frame)) => {
                    let message = HubMessage::Frame {
                        node: self.node,
                        id: self.id,
                        frame,
                    };
                    if self.context.hub.send(message).await.is_err() {
                        return "this node stopped";
                    }
                }
                Ok(None) => return "it closed the control stream",
                Err(error) => {
                    tracing::debug!(node = %self.node.short(), %error, "control stream");
                    return "its frames broke";
                }
            }
        }
    }

    /// Takes in what the peer knows of who belongs here.
    async fn roster(&self, request: Request<Incoming>) -> Response<Body> {
        let body = Limited::new(request.into_body(), Roster::BYTES_MAX).collect();
        let Ok(Ok(body)) = timeout(CONTROL_TIMEOUT, body).await else {
            return status(StatusCode::BAD_REQUEST);
        };
        match introduce::hear(&self.context, self.node, body.to_bytes().to_vec()).await {
            Ok(()) => status(StatusCode::OK),
            Err(error) => {
                tracing::debug!(node = %self.node.short(), %error, "a roster was not taken");
                status(StatusCode::FORBIDDEN)
            }
        }
    }

    /// Tells what there is of a repository.
    async fn files(&self, request: Request<Incoming>) -> Response<Body> {
        let Ok(Ok(asked)) = timeout(FILES_TIMEOUT, read_order(request.into_body())).await else {
            return status(StatusCode::BAD_REQUEST);
        };
        let held = self.context.handler.files(self.node, asked).await;
        match held.and_then(|held| wire::encode(&held).ok()) {
            Some(frame) => Response::new(whole(frame)),
            None => status(StatusCode::NOT_FOUND),
        }
    }

    /// Fetches a repository because the peer wishes it.
    async fn download(&self, request: Request<Incoming>) -> Response<Body> {
        let Ok(Ok(wished)) = timeout(FILES_TIMEOUT, read_order(request.into_body())).await else {
            return status(StatusCode::BAD_REQUEST);
        };
        match self.context.handler.download(self.node, wished).await {
            Ok(()) => status(StatusCode::OK),
            Err(failure) => refused(&failure),
        }
    }

    /// Lends bytes of a file.
    async fn bytes(&self, request: Request<Incoming>) -> Response<Body> {
        let Ok(Ok(asked)) = timeout(FILES_TIMEOUT, read_order(request.into_body())).await else {
            return status(StatusCode::BAD_REQUEST);
        };
        let borrower = Borrower {
            node: self.node,
            by: self.by,
            lent: Arc::clone(&self.lent),
        };
        let tasks = SessionTasks(self.stop.clone());
        match lending::bytes(&self.context, borrower, asked, &tasks).await {
            Ok(body) => Response::new(body),
            Err(why) => status(why),
        }
    }

    /// Runs one generation. Hyper drops this, or the stream it returns, when the peer cancels or is gone.
    async fn generate(&self, request: Request<Incoming>) -> Response<Body> {
        let order = match timeout(GENERATE_TIMEOUT, read_order(request.into_body())).await {
            Ok(Ok(order)) => order,
            Ok(Err(())) => return status(StatusCode::BAD_REQUEST),
            Err(_) => return status(StatusCode::REQUEST_TIMEOUT),
        };
        match self.context.handler.generate(self.node, order).await {
            Ok(events) => Response::new(streamed(encoded(events))),
            Err(failure) => refused(&failure),
        }
    }
}

/// Reads the one frame of a request and makes sure that nothing follows it.
async fn read_order<F: Frame>(body: Incoming) -> Result<F, ()> {
    let body = Limited::new(body, F::BYTES_MAX + FRAME_OVERHEAD_BYTES);
    let bytes = body.collect().await.map_err(|_| ())?.to_bytes();
    let mut decoder = Decoder::new(F::BYTES_MAX);
    decoder.push(&bytes);
    let order = decoder.next().ok().flatten().ok_or(())?;
    if decoder.buffered_bytes() == 0 {
        Ok(order)
    } else {
        Err(())
    }
}

/// Events as frames, those that are ready at once together. A frame that cannot be encoded ends the stream: the
/// other side takes it as broken.
fn encoded(events: BoxStream<'static, TokenEvent>) -> impl Stream<Item = Bytes> + Send + 'static {
    events
        .ready_chunks(EVENTS_PER_FRAME)
        .map(|events| wire::encode(&Events(events)).ok().map(Bytes::from))
        .take_while(|frame| std::future::ready(frame.is_some()))
        .filter_map(std::future::ready)
}

/// A failure to begin, which the other side gets as a failure and not as a stream.
fn refused(failure: &Failure) -> Response<Body> {
    // One that is too long to send arrives as an empty body, which the other side takes as a lost worker.
    let frame = wire::encode(failure).unwrap_or_default();
    let mut response = Response::new(whole(frame));
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response
}
