//! The HTTP API's port, as a switch. Whoever is in this process reaches the API without it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serve::{BindError, Gateway, Metrics, ServeConfig, Server};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Answers under way get this long to end before their connections are cut.
const END_LIMIT: Duration = Duration::from_secs(1);
/// How often a port that is being given up is tried.
const FREE_PAUSE: Duration = Duration::from_millis(5);

/// All ports of the API.
pub(crate) struct Ports {
    /// Its own.
    pub(crate) api: ApiPort,
    /// Ollama's, on this computer alone.
    pub(crate) ollama: ApiPort,
}

impl Ports {
    /// Closed; `ip` is where its own will be.
    pub(crate) fn closed(
        gateway: &Arc<dyn Gateway>,
        metrics: &Metrics,
        ip: IpAddr,
        session: &str,
    ) -> Self {
        let port = |ip| {
            let (gateway, metrics) = (Arc::clone(gateway), metrics.clone());
            ApiPort::new(gateway, metrics, ip, session.to_owned())
        };
        Self {
            api: port(ip),
            ollama: port(Ipv4Addr::LOCALHOST.into()),
        }
    }
}

/// The one owner of a port.
pub(crate) struct ApiPort {
    gateway: Arc<dyn Gateway>,
    metrics: Metrics,
    ip: IpAddr,
    session: String,
    open: Option<Open>,
}

/// A server that runs.
struct Open {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl ApiPort {
    /// Closed.
    fn new(gateway: Arc<dyn Gateway>, metrics: Metrics, ip: IpAddr, session: String) -> Self {
        Self {
            gateway,
            metrics,
            ip,
            session,
            open: None,
        }
    }

    /// Where this computer reaches the API, while it listens.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let mut address = self.open.as_ref()?.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        Some(address)
    }

    /// Opens this port, and then closes the one before, if there is one. `to_network` opens it on all networks.
    pub(crate) async fn open(&mut self, port: u16, to_network: bool) -> Result<(), BindError> {
        let all = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        let ip = if to_network { all } else { self.ip };
        let Some(before) = self.open.as_ref().map(|open| open.address) else {
            return self.listen(SocketAddr::new(ip, port)).await;
        };
        // Any port will do, and one that is known already does best.
        let port = if port == 0 { before.port() } else { port };
        let listen = SocketAddr::new(ip, port);
        if before == listen {
            return Ok(());
        }
        if before.port() != port {
            return self.listen(listen).await;
        }
        // The same port on one address and on all exclude each other.
        self.close();
        let opened = self.listen_when_free(listen).await;
        if opened.is_err() {
            self.listen_when_free(before).await?;
        }
        opened
    }

    /// Whoever asked for the change still waits for the answer of the server that gives the port up, so that server
    /// cannot be waited for.
    async fn listen_when_free(&mut self, listen: SocketAddr) -> Result<(), BindError> {
        let deadline = Instant::now() + END_LIMIT;
        loop {
            match self.listen(listen).await {
                Err(_) if Instant::now() < deadline => sleep(FREE_PAUSE).await,
                listened => return listened,
            }
        }
    }

    async fn listen(&mut self, listen: SocketAddr) -> Result<(), BindError> {
        let session = self.session.clone();
        let config = ServeConfig { listen, session };
        let gateway = Arc::clone(&self.gateway);
        let server = Server::bind(config, gateway, self.metrics.clone()).await?;
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async move {
            // A dropped sender stops it too.
            let _ = stopped.await;
        }));
        tracing::info!(api = %address, "the API listens");
        let before = self.open.replace(Open {
            address,
            stop,
            task,
        });
        if let Some(before) = before {
            before.end_soon();
        }
        Ok(())
    }

    /// Closes the port at once; answers under way, such as the one to who asked for this, have a moment more.
    pub(crate) fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.end_soon();
        }
    }

    /// Closes the port and returns when everything about it has ended.
    pub(crate) async fn end(&mut self) {
        if let Some(open) = self.open.take() {
            open.end().await;
        }
    }

    /// Returns if the server ends by itself, which only a defect makes it do.
    pub(crate) async fn broken(&mut self) {
        match &mut self.open {
            Some(open) => {
                // A panic in it counts as its end.
                let _ = (&mut open.task).await;
                self.open = None;
            }
            None => std::future::pending().await,
        }
    }
}

impl Open {
    async fn end(self) {
        // Nobody waits for it any more if the server is gone.
        let _ = self.stop.send(());
        let mut task = self.task;
        if timeout(END_LIMIT, &mut task).await.is_err() {
            task.abort();
        }
    }

    /// The task ends by itself within `END_LIMIT`.
    fn end_soon(self) {
        tokio::spawn(self.end());
    }
}
