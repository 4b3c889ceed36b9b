//! The listening socket and the life of its connections: limits, time limits, an orderly end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::{Gateway, Metrics};

/// Where to listen, and how much to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeConfig {
    /// Address and port; port 0 takes any free one. There is no password: everything but loopback is open to others.
    pub listen: SocketAddr,
}

/// A server that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is taken, or the address is not one of this machine's.
    #[error(
        "cannot listen on {address}: {source} (hint: choose another port with --port, or stop what uses this one)"
    )]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// A bound HTTP server. Nothing is answered before [`Server::run`].
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    gateway: Arc<dyn Gateway>,
    metrics: Metrics,
}

impl Server {
    /// Takes the port.
    pub async fn bind(
        config: ServeConfig,
        gateway: Arc<dyn Gateway>,
        metrics: Metrics,
    ) -> Result<Self, BindError> {
        let refused = |source| BindError::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self {
            listener,
            address,
            gateway,
            metrics,
        })
    }

    /// Where it listens, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` completes, then gives answers under way a moment to end. Dropping the future ends
    /// everything at once.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        stop.await;
        drop((self.listener, self.gateway, self.metrics));
    }
}
