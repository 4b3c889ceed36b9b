//! A connection for files beside the session with a member: bytes of models on the session itself would stand in the way of
//! pings and tokens. Made when bytes are first asked for; ends with the session, and at the other end when nobody uses it.

use std::net::SocketAddr;
use std::sync::Arc;

use base::NodeId;
use hyper::client::conn::http2::SendRequest;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::call::{self, CallError, Target};
use super::http::Body;
use super::outbound;
use crate::limits::{FILES_STREAM_WINDOW_BYTES, FILES_WINDOW_BYTES};

/// Where a member's files are asked for.
pub(crate) struct Bulk {
    context: Arc<Context>,
    node: NodeId,
    address: SocketAddr,
    /// The session's.
    stop: CancellationToken,
    requests: Mutex<Option<SendRequest<Body>>>,
}

impl Bulk {
    /// Not connected yet.
    pub(crate) fn new(
        context: Arc<Context>,
        node: NodeId,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> Self {
        Self {
            context,
            node,
            address,
            stop,
            requests: Mutex::default(),
        }
    }

    /// The connection, made anew if there is none; the limits of a call bound that.
    pub(crate) async fn requests(&self) -> Result<SendRequest<Body>, CallError> {
        let mut requests = self.requests.lock().await;
        if let Some(open) = requests.as_ref().filter(|open| !open.is_closed()) {
            return Ok(open.clone());
        }
        let opened = self.connect().await?;
        Ok(requests.insert(opened).clone())
    }

    /// Forgets the connection, on which nothing comes any more.
    pub(crate) async fn give_up(&self) {
        self.requests.lock().await.take();
    }

    async fn connect(&self) -> Result<SendRequest<Body>, CallError> {
        let (target, addresses) = (Target::Node(self.node), [self.address]);
        let (mut stream, node, address) =
            call::reach_any(&self.context, &target, &addresses).await?;
        call::prove(&self.context, &mut stream, node, address).await?;
        let windows = (FILES_STREAM_WINDOW_BYTES, FILES_WINDOW_BYTES);
        let connected = outbound::connect(stream, &self.stop.child_token(), windows).await;
        connected.map_err(|error| CallError::Open { node, error })
    }
}
