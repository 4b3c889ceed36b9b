//! Gets a request to the worker of rank 0, on this node or another.

use std::sync::Arc;
use std::time::Duration;

use base::{ErrorCode, Failure, InstanceId, NodeId, TokenEvent, TokenRequest};
use cluster::ClusterView;
use futures::StreamExt;
use futures::stream::BoxStream;
use net::{Generate, NetHandle};
use tokio::sync::watch;
use tokio::time::timeout;

use super::generation::Route;
use super::opening::Opening;
use crate::cluster_actor::ClusterHandle;
use crate::supervisor::Running;

/// A peer that is alive answers whether it takes a request at once; one that is dead is noticed by then.
const SUBMIT_LIMIT: Duration = Duration::from_secs(5);

/// The ways to all workers of rank 0.
pub(crate) struct Routes {
    me: NodeId,
    cluster: ClusterHandle,
    running: Running,
    net: NetHandle,
    opening: Arc<Opening>,
}

impl Routes {
    pub(crate) fn new(
        cluster: ClusterHandle,
        running: Running,
        net: NetHandle,
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

    /// The cluster now.
    pub(crate) fn view(&self) -> Arc<ClusterView> {
        self.cluster.view()
    }

    /// Follows the cluster.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.cluster.changes()
    }

    /// Hands a request over. `WorkerLost` means that it should be tried again when the cluster has changed.
    pub(crate) async fn submit(
        &self,
        route: Route,
        request: TokenRequest,
    ) -> Result<BoxStream<'static, TokenEvent>, Failure> {
        if route.driver == self.me {
            return submit_here(&self.running, route.instance, route.generation, request);
        }
        let generate = Generate {
            instance: route.instance,
            generation: route.generation,
            request,
        };
        let submitted = timeout(SUBMIT_LIMIT, self.net.generate(route.driver, &generate)).await;
        submitted.map_err(|_| {
            Failure::new(
                ErrorCode::WorkerLost,
                "the node that drives the model does not answer",
            )
        })?
    }

    /// Opens the model of an instance that nobody is left to mend.
    pub(crate) async fn open_again(&self, instance: InstanceId) -> Result<InstanceId, Failure> {
        self.opening.open_again(instance).await
    }
}

/// Hands a request to a worker of this node that drives this generation.
pub(crate) fn submit_here(
    running: &Running,
    instance: InstanceId,
    generation: u32,
    request: TokenRequest,
) -> Result<BoxStream<'static, TokenEvent>, Failure> {
    let worker = running.driver_of(instance, generation).ok_or_else(|| {
        Failure::new(
            ErrorCode::WorkerLost,
            "that plan of the model does not run here",
        )
    })?;
    Ok(worker.generate(request)?.boxed())
}
