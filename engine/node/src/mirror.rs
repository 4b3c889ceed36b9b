//! The other members as downloads ask them for files: over the network, while this node takes part in it.

use base::{BytesAsked, HeldFiles, HubRevision, NodeId};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use net::NetHandle;
use store::download::Members;

use crate::network::NetReceiver;

/// Asks whoever is linked.
#[derive(Debug)]
pub(crate) struct Linked {
    own: NodeId,
    net: NetReceiver,
}

impl Linked {
    /// Those of this node.
    pub(crate) fn new(own: NodeId, net: &NetReceiver) -> Self {
        let net = net.clone();
        Self { own, net }
    }

    fn net(&self) -> Option<NetHandle> {
        self.net.borrow().clone()
    }
}

impl Members for Linked {
    fn own(&self) -> NodeId {
        self.own
    }

    fn reachable(&self) -> Vec<NodeId> {
        self.net().map_or_else(Vec::new, |net| net.linked())
    }

    fn files(&self, member: NodeId, asked: HubRevision) -> BoxFuture<'static, Option<HeldFiles>> {
        let net = self.net();
        async move { net?.files(member, &asked).await }.boxed()
    }

    fn bytes(
        &self,
        member: NodeId,
        asked: BytesAsked,
    ) -> BoxFuture<'static, Option<BoxStream<'static, Bytes>>> {
        let net = self.net();
        let lent = async move {
            let refused = match net?.bytes(member, &asked).await {
                Ok(pieces) => return Some(pieces),
                Err(refused) => refused,
            };
            tracing::debug!(member = %member.short(), %refused, "a member lends nothing");
            None
        };
        lent.boxed()
    }
}
