//! What this node does for other nodes: lets its workers answer their requests, lends them the files of its models, and fetches
//! a model that is wished for everywhere.
//! Called by `net` for proven members only.

use base::{BytesAsked, Failure, HeldFiles, HubRevision, NodeId, TokenEvent};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use net::{Generate, PeerHandler};
use serve::downloads::Ask;
use store::Places;
use store::download::{Shared, SharedBytes};
use tokio::task::spawn_blocking;

use crate::downloads::DownloadsHandle;
use crate::gateway::submit_here;
use crate::supervisor::Running;

/// Passes requests of peers on to the workers and the models of this node.
pub(crate) struct PeerRequests {
    running: Running,
    shared: Shared,
    downloads: DownloadsHandle,
}

impl PeerRequests {
    pub(crate) fn of(running: Running, places: &Places, downloads: DownloadsHandle) -> Self {
        Self {
            running,
            shared: Shared::of(places.clone()),
            downloads,
        }
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

    fn files(&self, _from: NodeId, asked: HubRevision) -> BoxFuture<'static, Option<HeldFiles>> {
        let shared = self.shared.clone();
        let looking = spawn_blocking(move || shared.files(&asked));
        async { looking.await.ok()? }.boxed()
    }

    fn download(
        &self,
        from: NodeId,
        wished: HubRevision,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        tracing::info!(from = %from.short(), model = %wished.repository, "a peer wishes that this is fetched");
        let HubRevision {
            repository,
            revision,
        } = wished;
        let downloads = self.downloads.clone();
        let start = Ask::Start(format!("{repository}@{revision}"));
        async move { downloads.ask(start).await }.boxed()
    }

    fn bytes(
        &self,
        from: NodeId,
        asked: BytesAsked,
    ) -> BoxFuture<'static, Option<BoxStream<'static, Bytes>>> {
        tracing::debug!(from = %from.short(), hash = %asked.hash, range = ?asked.range, "a peer wants bytes");
        let shared = self.shared.clone();
        let opening = spawn_blocking(move || shared.open(&asked));
        let opened = async move {
            let open = opening.await.ok()??;
            let pieces = stream::unfold(open, SharedBytes::next);
            Some(pieces.map(Bytes::from).boxed())
        };
        opened.boxed()
    }
}
