//! What this node does for other nodes: lets its workers answer their requests. Called by `net` for proven members only.

use base::{Failure, NodeId, TokenEvent};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use net::{Generate, PeerHandler};

use crate::gateway::submit_here;
use crate::supervisor::Running;

/// Passes requests of peers on to the workers of this node.
pub(crate) struct PeerRequests {
    pub(crate) running: Running,
}

impl PeerHandler for PeerRequests {
    fn generate(
        &self,
        from: NodeId,
        generate: Generate,
    ) -> BoxFuture<'static, Result<BoxStream<'static, TokenEvent>, Failure>> {
        tracing::debug!(from = %from.short(), request = %generate.request.id, "a peer's request");
        let submitted = submit_here(&self.running, generate);
        std::future::ready(submitted).boxed()
    }
}
