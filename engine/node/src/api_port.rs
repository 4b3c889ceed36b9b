//! The HTTP API's port, as a switch. Whoever is in this process reaches the API without it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serve::{BindError, Gateway, Metrics, ServeConfig, Server};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Answers under way get this long to end before their connections are cut.
const END_LIMIT: Duration = Duration::from_secs(1);

/// The one owner of the port.
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
    pub(crate) fn new(
        gateway: Arc<dyn Gateway>,
        metrics: Metrics,
        ip: IpAddr,
        session: String,
    ) -> Self {
        Self {
            gateway,
            metrics,
            ip,
            session,
            open: None,
        }
    }

    /// Where the API listens, while it does.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.open.as_ref().map(|open| open.address)
    }

    /// Opens this port, and then closes the one before, if there is one.
    pub(crate) async fn open(&mut self, port: u16) -> Result<(), BindError> {
        let listen = SocketAddr::new(self.ip, port);
        if self.address() == Some(listen) {
            return Ok(());
        }
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
