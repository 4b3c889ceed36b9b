//! What this node does for other nodes: lets its workers answer their requests, and lends them the files of its models.
//! Called by `net` for proven members only.

use base::{BytesAsked, Failure, FilesAsked, HeldFiles, NodeId, TokenEvent};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use net::{Generate, PeerHandler};
use store::Places;
use store::download::{Shared, SharedBytes};
use tokio::task::spawn_blocking;

use crate::gateway::submit_here;
use crate::supervisor::Running;

/// Passes requests of peers on to the workers and the models of this node.
pub(crate) struct PeerRequests {
    running: Running,
    shared: Shared,
}

impl PeerRequests {
    pub(crate) fn of(running: Running, places: &Places) -> Self {
        let shared = Shared::of(places.clone());
        Self { running, shared }
    }
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

    fn files(&self, _from: NodeId, asked: FilesAsked) -> BoxFuture<'static, Option<HeldFiles>> {
        let shared = self.shared.clone();
        let looking = spawn_blocking(move || shared.files(&asked));
        async { looking.await.ok()? }.boxed()
    }

    fn bytes(
        &self,
        from: NodeId,
        asked: BytesAsked,
    ) -> BoxFuture<'static, Option<BoxStream<'static, Bytes>>> {
        tracing::debug!(from = %from.short(), hash = %asked.hash, range = ?asked.range, "a peer wants bytes");
        let shared = self.shared.clone();
        let opening = spawn_blocking(move || shared.open(&asked));
        async { Some(pieces(opening.await.ok()??)) }.boxed()
    }
}

/// Reads piece after piece; one that cannot be read is the end.
fn pieces(open: SharedBytes) -> BoxStream<'static, Bytes> {
    let pieces = stream::unfold(open, |mut open| async {
        let reading = spawn_blocking(move || Some((open.next_piece().ok()??.into(), open)));
        reading.await.ok()?
    });
    pieces.boxed()
}
