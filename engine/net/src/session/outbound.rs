//! A session that this node opened: sends records and pings, asks for generations.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use base::NodeId;
use bytes::Bytes;
use http::{Method, Request};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::bulk::Bulk;
use super::frames::FrameReader;
use super::heartbeat::Heartbeat;
use super::http::{
    Body, CONTROL_PATH, ROSTER_PATH, SessionTasks, queued, read_names, whole, write_names,
};
use super::{Context, Direction, ProvenBy, SessionId, probe};
use crate::PeerFrame;
use crate::hub::{HubMessage, Proven};
use crate::limits::{
    CONNECTION_WINDOW_BYTES, CONTROL_QUEUE, CONTROL_TIMEOUT, GENERATIONS_MAX, HEADER_BYTES_MAX,
    PING_EVERY, PROBE_AFTER, STREAM_WINDOW_BYTES,
};

/// Why a proven session could not be opened.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// HTTP/2 failed.
    #[error("the session broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The peer answered, but not with a control stream.
    #[error("it refused the control stream")]
    Refused,
    /// The peer did not answer in time.
    #[error("it did not open the control stream in time")]
    TimedOut,
}

/// What the rest of this node may do with an outbound session.
#[derive(Clone)]
pub(crate) struct Outbound {
    /// Encoded frames for the peer, in order.
    pub(crate) control: mpsc::Sender<Bytes>,
    /// For generations.
    pub(crate) requests: SendRequest<Body>,
    /// A permit for each generation.
    pub(crate) generations: Arc<Semaphore>,
    /// For files.
    pub(crate) bulk: Arc<Bulk>,
    /// Ends the session.
    pub(crate) stop: CancellationToken,
}

/// An outbound session whose control stream is open.
pub(crate) struct OpenSession {
    outbound: Outbound,
    answers: FrameReader<PeerFrame>,
    node: NodeId,
    names: (String, String),
    local_ip: IpAddr,
    remote_ip: IpAddr,
}

/// Starts HTTP/2 on a proven stream and opens the control stream.
pub(crate) async fn open(
    context: &Arc<Context>,
    stream: TlsStream<TcpStream>,
    node: NodeId,
) -> Result<OpenSession, OpenError> {
    let tcp = stream.get_ref().0;
    let addresses = tcp
        .local_addr()
        .and_then(|local| Ok((local, tcp.peer_addr()?)));
    let (local, remote) = addresses.map_err(|_| OpenError::Refused)?;
    let stop = context.stop.child_token();
    let opened = timeout(CONTROL_TIMEOUT, async {
        let windows = (STREAM_WINDOW_BYTES, CONNECTION_WINDOW_BYTES);
        let requests = connect(stream, &stop, windows).await?;
        let (control, queue) = mpsc::channel(CONTROL_QUEUE);
        let (answers, names) = open_control(context, requests.clone(), queue).await?;
        Ok((requests, control, answers, names))
    });
    let opened = opened.await.unwrap_or(Err(OpenError::TimedOut));
    let (requests, control, answers, names) = opened.inspect_err(|_| stop.cancel())?;
    let generations = Arc::new(Semaphore::new(GENERATIONS_MAX));
    let bulk = Arc::new(Bulk::new(context.clone(), node, remote, stop.clone()));
    Ok(OpenSession {
        outbound: Outbound {
            control,
            requests,
            generations,
            bulk,
            stop,
        },
        answers,
        node,
        names,
        local_ip: local.ip(),
        remote_ip: remote.ip(),
    })
}

/// Starts HTTP/2 on a proven stream, with so many bytes that one stream and all together may be ahead of their readers.
pub(crate) async fn connect(
    stream: TlsStream<TcpStream>,
    stop: &CancellationToken,
    (of_stream, of_all): (u32, u32),
) -> Result<SendRequest<Body>, OpenError> {
    let tasks = SessionTasks(stop.clone());
    let (requests, connection) = Builder::new(tasks.clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(of_stream)
        .initial_connection_window_size(of_all)
        .max_header_list_size(HEADER_BYTES_MAX)
        // A peer has nothing to push or ask on a session that we opened.
        .max_concurrent_streams(0)
        .handshake(TokioIo::new(stream))
        .await?;
    hyper::rt::Executor::execute(&tasks, async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a session's connection ended");
        }
    });
    Ok(requests)
}

async fn open_control(
    context: &Context,
    mut requests: SendRequest<Body>,
    queue: mpsc::Receiver<Bytes>,
) -> Result<(FrameReader<PeerFrame>, (String, String)), OpenError> {
    let mut request = Request::new(queued(queue));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(CONTROL_PATH);
    write_names(
        request.headers_mut(),
        &context.own.name,
        &context.own.cluster_name,
    );
    let response = requests.send_request(request).await?;
    if !response.status().is_success() {
        return Err(OpenError::Refused);
    }
    let names = read_names(response.headers());
    Ok((FrameReader::new(response.into_body()), names))
}

/// Tells the other end this node's roster; whether it took it in time.
pub(crate) async fn tell(link: Outbound, roster: Bytes) -> bool {
    let mut request = Request::new(whole(roster));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(ROSTER_PATH);
    let mut requests = link.requests;
    let told = timeout(CONTROL_TIMEOUT, requests.send_request(request)).await;
    matches!(told, Ok(Ok(response)) if response.status().is_success())
}

impl OpenSession {
    /// Tells the hub, keeps the heart beating, and returns when the session is over; the hub knows that then too.
    pub(crate) async fn run(
        mut self,
        context: &Context,
        id: SessionId,
        by: ProvenBy,
        given: Option<String>,
    ) {
        let _ends_with_us = self.outbound.stop.clone().drop_guard();
        let up = HubMessage::Proven(Proven {
            id,
            node: self.node,
            direction: Direction::Outbound,
            by,
            name: std::mem::take(&mut self.names.0),
            cluster_name: std::mem::take(&mut self.names.1),
            local_ip: self.local_ip,
            remote_ip: self.remote_ip,
            port: None,
            given,
            outbound: Some(self.outbound.clone()),
            stop: self.outbound.stop.clone(),
        });
        if context.hub.send(up).await.is_ok() {
            self.measure(context);
            let why = self.beat(context).await;
            tracing::debug!(node = %self.node.short(), why, "an outbound session ended");
        }
        // A closed hub has no use for it.
        let _ = context
            .hub
            .send(HubMessage::Ended {
                node: self.node,
                id,
            })
            .await;
    }

    /// Measures once what the session carries, while it goes on.
    fn measure(&self, context: &Context) {
        let (node, link, hub) = (self.node, self.outbound.clone(), context.hub.clone());
        let turns = if context.own.node < node { 1 } else { 2 };
        let tasks = SessionTasks(self.outbound.stop.clone());
        hyper::rt::Executor::execute(&tasks, async move {
            tokio::time::sleep(PROBE_AFTER * turns).await;
            if let Some(bytes_per_s) = probe::bandwidth(&link).await {
                // A closed hub has no use for it.
                let _ = hub.send(HubMessage::Carried { node, bytes_per_s }).await;
            }
        });
    }

    async fn beat(&mut self, context: &Context) -> &'static str {
        let began = Instant::now();
        let mut heartbeat = Heartbeat::default();
        let mut turns = interval(PING_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.outbound.stop.cancelled() => return "closed here",
                answer = self.answers.next() => match answer {
                    Ok(Some(PeerFrame::Pong(sent_us))) => {
                        heartbeat.heard();
                        let now_us = began.elapsed().as_micros() as u64;
                        let round_trip_us = now_us.saturating_sub(sent_us);
                        // A measurement that finds no room is not missed.
                        let _ = context.hub.try_send(HubMessage::Measured { node: self.node, round_trip_us });
                    }
                    Ok(Some(_)) => return "it answered with something else than a pong",
                    Ok(None) => return "it closed the session",
                    Err(error) => {
                        tracing::debug!(node = %self.node.short(), %error, "control stream");
                        return "the control stream broke";
                    }
                },
                _ = turns.tick() => {
                    if heartbeat.turn() {
                        return "it does not answer";
                    }
                    let ping = PeerFrame::Ping(began.elapsed().as_micros() as u64);
                    let sent = wire::encode(&ping).is_ok_and(|bytes| self.outbound.control.try_send(bytes.into()).is_ok());
                    if !sent {
                        return "its queue is full";
                    }
                }
            }
        }
    }
}
