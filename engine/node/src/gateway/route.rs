//! Gets a request to the worker of rank 0, on this node or another.

use std::sync::Arc;
use std::time::Duration;

use base::{ErrorCode, Failure, InstanceId, NodeId, TokenRequest};
use cluster::ClusterView;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use net::Generate;
use tokio::sync::watch;
use tokio::time::timeout;

use super::generation::{Drivers, Route, Submitted};
use super::opening::Opening;
use crate::cluster_actor::ClusterHandle;
use crate::network::NetReceiver;
use crate::supervisor::Running;

/// A peer that is alive answers whether it takes a request at once; one that is dead is noticed by then.
const SUBMIT_LIMIT: Duration = Duration::from_secs(5);

/// The ways to all workers of rank 0.
pub(crate) struct Routes {
    me: NodeId,
    cluster: ClusterHandle,
    running: Running,
    net: NetReceiver,
    opening: Arc<Opening>,
}

impl Routes {
    pub(crate) fn new(
        cluster: ClusterHandle,
        running: Running,
        net: NetReceiver,
        opening: Arc<Opening>,
    ) -> Self {
        Self {
            me: cluster.view().node_id,
            cluster,
            running,
            net,
            opening,
        }
    }

    async fn hand_over(&self, route: Route, request: TokenRequest) -> Submitted {
        if route.driver == self.me {
            return submit_here(&self.running, route.instance, route.generation, request);
        }
        let generate = Generate {
            instance: route.instance,
            generation: route.generation,
            request,
        };
        let net = self.net.borrow().clone();
        let net = net
            .ok_or_else(|| Failure::new(ErrorCode::WorkerLost, "this node has left the network"))?;
        let submitted = timeout(SUBMIT_LIMIT, net.generate(route.driver, &generate)).await;
        submitted.map_err(|_| {
            Failure::new(
                ErrorCode::WorkerLost,
                "the node that drives the model does not answer",
            )
        })?
    }
}

impl Drivers for Routes {
    fn changes(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.cluster.changes()
    }

    fn submit(&self, route: Route, request: TokenRequest) -> BoxFuture<'_, Submitted> {
        self.hand_over(route, request).boxed()
    }

    fn open_again(&self, instance: InstanceId) -> BoxFuture<'_, Result<InstanceId, Failure>> {
        self.opening.open_again(instance).boxed()
    }
}

/// Hands a request to a worker of this node that drives this generation.
pub(crate) fn submit_here(
    running: &Running,
    instance: InstanceId,
    generation: u32,
    request: TokenRequest,
) -> Submitted {
    let worker = running.driver_of(instance, generation).ok_or_else(|| {
        Failure::new(
            ErrorCode::WorkerLost,
            "that plan of the model does not run here",
        )
    })?;
    Ok(worker.generate(request)?.boxed())
}
