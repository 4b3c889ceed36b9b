//! Gets a request to the worker of rank 0, on this node or another, and counts those under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{ErrorCode, Failure, InstanceId, KeepAlive, NodeId, TokenRequest};
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
    sent: Sent,
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
            sent: Sent::default(),
        }
    }

    async fn hand_over(&self, generate: Generate, driver: NodeId) -> Submitted {
        let under_way = self.sent.begin(generate.instance);
        let stream = if driver == self.me {
            submit_here(&self.running, generate)?
        } else {
            self.send(generate, driver).await?
        };
        let counted = stream.map(move |event| {
            let _until_the_stream_is_dropped = &under_way;
            event
        });
        Ok(counted.boxed())
    }

    async fn send(&self, generate: Generate, driver: NodeId) -> Submitted {
        let net = self.net.borrow().clone();
        let net = net
            .ok_or_else(|| Failure::new(ErrorCode::WorkerLost, "this node has left the network"))?;
        let submitted = timeout(SUBMIT_LIMIT, net.generate(driver, &generate)).await;
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

    fn under_way(&self, instance: InstanceId) -> u32 {
        self.sent.count(instance)
    }

    fn submit(
        &self,
        route: Route,
        keep_alive: Option<KeepAlive>,
        request: TokenRequest,
    ) -> BoxFuture<'_, Submitted> {
        let generate = Generate {
            instance: route.instance,
            generation: route.generation,
            request,
            keep_alive,
        };
        self.hand_over(generate, route.driver).boxed()
    }

    fn open_again(&self, instance: InstanceId) -> BoxFuture<'_, Result<InstanceId, Failure>> {
        self.opening.open_again(instance).boxed()
    }
}

/// Hands a request to a worker of this node that drives its generation.
pub(crate) fn submit_here(running: &Running, generate: Generate) -> Submitted {
    let Generate {
        instance,
        generation,
        request,
        keep_alive,
    } = generate;
    let worker = running.driver_of(instance, generation).ok_or_else(|| {
        Failure::new(
            ErrorCode::WorkerLost,
            "that plan of the model does not run here",
        )
    })?;
    if let Some(keep_alive) = keep_alive {
        running.keep(instance, keep_alive);
    }
    Ok(worker.generate(request)?.boxed())
}

/// Requests of this node under way, by instance. Those of other nodes are told by whoever drives it, a moment later.
#[derive(Debug, Clone, Default)]
struct Sent {
    counts: Arc<Mutex<HashMap<InstanceId, u32>>>,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
struct UnderWay {
    sent: Sent,
    instance: InstanceId,
}

impl Sent {
    fn begin(&self, instance: InstanceId) -> UnderWay {
        self.change(|counts| *counts.entry(instance).or_insert(0) += 1);
        UnderWay {
            sent: self.clone(),
            instance,
        }
    }

    fn count(&self, instance: InstanceId) -> u32 {
        self.change(|counts| counts.get(&instance).copied().unwrap_or(0))
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<InstanceId, u32>) -> T) -> T {
        // No code that holds the lock can panic half-way through a change.
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.sent.change(|counts| {
            if let Some(count) = counts.get_mut(&self.instance) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&self.instance);
                }
            }
        });
    }
}
