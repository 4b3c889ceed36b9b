//! The node's place in the network, as a switch. Off means off: no port, no discovery, nobody known.

use std::net::SocketAddr;
use std::sync::Arc;

use net::{Identity, NetConfig, NetHandle, StartError};
use tokio::sync::{mpsc, watch};

use crate::cluster_actor::ClusterHandle;
use crate::config::NodeConfig;
use crate::membership::Membership;
use crate::peer_requests::PeerRequests;

/// The network as others use it: there, or not.
pub(crate) type NetReceiver = watch::Receiver<Option<NetHandle>>;

/// The one owner of the network.
pub(crate) struct Network {
    config: NodeConfig,
    identity: Identity,
    /// What peers may ask of this node.
    requests: Arc<PeerRequests>,
    membership: watch::Receiver<Arc<Membership>>,
    cluster: ClusterHandle,
    published: watch::Sender<Option<NetHandle>>,
}

/// A network that has started: what the cluster's actor needs of it.
pub(crate) struct Joined {
    pub(crate) net: NetHandle,
    pub(crate) events: mpsc::Receiver<net::NetEvent>,
}

impl Network {
    /// Not joined yet.
    pub(crate) fn new(
        config: NodeConfig,
        identity: Identity,
        requests: PeerRequests,
        membership: watch::Receiver<Arc<Membership>>,
        cluster: ClusterHandle,
        published: watch::Sender<Option<NetHandle>>,
    ) -> Self {
        Self {
            config,
            identity,
            requests: Arc::new(requests),
            membership,
            cluster,
            published,
        }
    }

    /// Where peers reach this node, while it takes part.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.published.borrow().as_ref().map(NetHandle::address)
    }

    /// Takes part under this name. Does nothing if it already does.
    pub(crate) async fn join(&self, name: &str) -> Result<(), StartError> {
        if self.address().is_some() {
            return Ok(());
        }
        let (net, events) = net::start(self.net_config(name), self.requests.clone()).await?;
        tracing::info!(peers = %net.address(), "joined the network");
        self.published.send_replace(Some(net.clone()));
        // A cluster's actor that is gone needs no network, and what it is handed ends with it.
        let _ = self.cluster.joined(Joined { net, events }).await;
        Ok(())
    }

    /// Leaves the network and goes on alone; returns when the others have been told, within a second.
    pub(crate) async fn part(&self) {
        if self.say_goodbye().await {
            // A cluster's actor that is gone knows nobody either.
            let _ = self.cluster.parted().await;
            tracing::info!("left the network");
        }
    }

    /// Leaves the network because everything ends; whether there was one.
    pub(crate) async fn say_goodbye(&self) -> bool {
        let net = self.published.send_replace(None);
        if let Some(net) = &net {
            net.leave().await;
        }
        net.is_some()
    }

    fn net_config(&self, name: &str) -> NetConfig {
        let config = &self.config;
        NetConfig {
            identity: self.identity.clone(),
            name: name.to_owned(),
            cluster_name: config.cluster_name.clone(),
            cluster_key: config.cluster_key.clone(),
            roster: self.membership.borrow().roster.clone(),
            listen: config.peer_listen,
            discovery: config.discovery.clone(),
            peers: config.peers.clone(),
        }
    }
}
