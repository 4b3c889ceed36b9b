//! The listening socket and the life of its connections: how many, how slow they may be, an orderly end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::app::App;
use crate::guard::{Caller, Door};
use crate::openai::Responses;
use crate::patience::Patient;
use crate::places::{Place, Places};
use crate::router::router;
use crate::{Gateway, Metrics};

/// From a connection's start, or the end of its last request, to the end of the next request's headers.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// Answers under way get so long when the server stops. A streamed answer rarely ends by itself in this time: the
/// node has 5 s for all it must end, and workers need most of them.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);
/// After the system refused a connection (out of file descriptors): trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where to listen.
#[derive(Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// Address and port; port 0 takes any free one. Whoever asks from another computer needs a key.
    pub listen: SocketAddr,
    /// What a browser that has loaded the dashboard shows with every further request: letters and digits, hard to guess,
    /// the same after a restart so that open pages go on.
    pub session: String,
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
    router: Router,
    stopping: watch::Sender<bool>,
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
        let (stopping, stops) = watch::channel(false);
        let app = App {
            gateway,
            metrics,
            door: Some(Door::new(address, &config.session)),
            responses: Responses::default(),
            stopping: stops,
        };
        Ok(Self {
            listener,
            address,
            router: router(Arc::new(app)),
            stopping,
        })
    }

    /// Where it listens, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` completes, then gives answers under way a moment to end. Dropping the future ends
    /// everything at once.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let mut connections = JoinSet::new();
        let places = Places::new();
        tokio::pin!(stop);
        loop {
            let (stream, caller, place) = tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.listener, &places) => accepted,
            };
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_LIMIT)
                .serve_connection(
                    TokioIo::new(Patient::new(stream)),
                    TowerToHyperService::new(caller.asks(self.router.clone(), place)),
                )
                .with_upgrades();
            let mut stopping = self.stopping.subscribe();
            connections.spawn(async move {
                tokio::pin!(connection);
                // Its sender outlives all connections.
                let stopping = async { stopping.wait_for(|stopping| *stopping).await.is_ok() };
                let ended = tokio::select! {
                    ended = connection.as_mut() => ended,
                    _ = stopping => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
            });
        }
        // New connections are refused from here on.
        drop(self.listener);
        self.stopping.send_replace(true);
        let all = async { while connections.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_LIMIT, all).await.is_err() {
            tracing::info!(
                open = connections.len(),
                "ending answers that were under way"
            );
        }
    }
}

/// The next connection, when there is a place for it.
async fn accept(listener: &TcpListener, places: &Places) -> (TcpStream, Caller, Place) {
    let mut place = places.next().await;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let caller = Caller::new(address.ip());
                if !place.is_for(caller) {
                    // Too many already. Dropped, so that whoever has them notices.
                    continue;
                }
                // Without it small frames of a stream wait for each other; failing to set it only costs speed.
                let _ = stream.set_nodelay(true);
                return (stream, caller, place);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
