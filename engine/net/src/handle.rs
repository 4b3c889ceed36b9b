//! The network as `node` holds it: a cheap handle on the actor that runs it.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLockReadGuard};

use base::{BytesAsked, ErrorCode, Failure, HeldFiles, HubRevision, NodeId, TokenEvent};
use bytes::Bytes;
use futures::stream::BoxStream;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::discovery::mdns::{Mdns, Scope};
use crate::discovery::{Announcement, Discovering};
use crate::home::Home;
use crate::hub::{Hub, HubMessage, Registry, Wish};
use crate::limits::{EVENT_QUEUE, HUB_QUEUE, LEAVE_TIMEOUT};
use crate::session::outbound::Outbound;
use crate::session::pairing::Click;
use crate::session::{Context, files, generation, listen};
use crate::tls::Tls;
use crate::{
    Discovery, Generate, NetConfig, NetEvent, PairingEnd, PeerFrame, PeerHandler, RosterError,
    name, proof,
};

/// Why the network could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The peer listener's address is taken or not ours.
    #[error("cannot listen for peers on {address}: {source} (hint: choose another --peer-port)")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// mDNS could not be started.
    #[error(
        "cannot start discovery: {0} (hint: start with --no-discovery and name the other nodes with --peer)"
    )]
    Discovery(String),
    /// The identity cannot be used for TLS.
    #[error("cannot use the node's key for TLS: {0}")]
    Tls(String),
}

/// Why a frame was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    /// There is no link to that node now; it gets everything anew on the next `LinkUp`.
    #[error("no link to that node")]
    NotLinked,
    /// The frame is larger than a peer frame may be.
    #[error("the frame is larger than a peer frame may be")]
    TooLarge,
}

/// Why a member gives no bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BytesError {
    /// There is no link to it, or it does not answer.
    #[error("that node cannot be reached")]
    Unreachable,
    /// It does not have that file.
    #[error("that node does not have the file")]
    NotThere,
    /// It is reading as many files as it may.
    #[error("that node is busy")]
    Busy,
}

/// A running network. Cheap to clone; dropping the last one stops it without saying goodbye.
#[derive(Clone)]
pub struct NetHandle {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeId,
    address: SocketAddr,
    hub: mpsc::Sender<HubMessage>,
    registry: Registry,
    stop: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Listens, looks for other nodes and calls them, until [`NetHandle::leave`] or the last handle is dropped.
///
/// The receiver must be read: while it is full, incoming frames wait, and a peer that waits for two seconds hangs up.
pub async fn start(
    config: NetConfig,
    handler: Arc<dyn PeerHandler>,
) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), StartError> {
    let tls = Tls::new(&config.identity).map_err(|error| StartError::Tls(error.to_string()))?;
    let listen = config.listen;
    let failed = |source| StartError::Listen {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;

    let (hub_sender, inbox) = mpsc::channel(HUB_QUEUE);
    let (events_sender, events) = mpsc::channel(EVENT_QUEUE);
    let home = config.home();
    let own = Announcement {
        node: config.identity.node_id(),
        name: name::clean(&config.name),
        cluster_name: name::clean(&config.cluster_name),
        home,
        protocol: proof::VERSION,
        addresses: vec![address],
    };
    let node = own.node;
    let discovering = discover(config.discovery, &own, address, &hub_sender)?;
    let context = Arc::new(Context::new(
        own,
        address.port(),
        config.cluster_key.clone(),
        tls,
        handler,
        hub_sender.clone(),
    ));
    if let Home::Roster(_) = home {
        context.set_roster(config.roster.clone());
    }
    let registry = Registry::default();
    let stop = context.stop.clone();
    tokio::spawn(listen::listen(context.clone(), listener));
    let identity = config.identity;
    let hub = Hub::new(
        context,
        identity,
        inbox,
        events_sender,
        registry.clone(),
        discovering,
    );
    tokio::spawn(hub.run(config.peers, config.roster));
    let inner = Inner {
        node,
        address,
        hub: hub_sender,
        registry,
        stop,
    };
    Ok((
        NetHandle {
            inner: Arc::new(inner),
        },
        events,
    ))
}

fn discover(
    discovery: Discovery,
    own: &Announcement,
    address: SocketAddr,
    hub: &mpsc::Sender<HubMessage>,
) -> Result<Discovering, StartError> {
    let scope = match discovery {
        Discovery::Off => return Ok(Discovering::Off),
        Discovery::Memory(neighbourhood) => {
            return Ok(Discovering::Memory(
                neighbourhood.join(own.clone(), hub.clone()),
            ));
        }
        Discovery::All => Scope::All,
        Discovery::Loopback => Scope::Loopback,
    };
    let mdns = Mdns::start(scope, own, address, hub.clone());
    mdns.map(Discovering::Mdns)
        .map_err(|error| StartError::Discovery(error.to_string()))
}

impl NetHandle {
    /// Where peers reach this node: the configured address with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// Sends a frame to every linked node. Never waits: a link whose queue is full is dropped and made anew.
    pub fn broadcast(&self, frame: &PeerFrame) -> Result<(), SendError> {
        let bytes = encode(frame)?;
        for link in self.links().values() {
            queue(link, bytes.clone());
        }
        Ok(())
    }

    /// Sends a frame to one linked node. Never waits, like [`NetHandle::broadcast`].
    pub fn send(&self, to: NodeId, frame: &PeerFrame) -> Result<(), SendError> {
        let bytes = encode(frame)?;
        let links = self.links();
        queue(links.get(&to).ok_or(SendError::NotLinked)?, bytes);
        Ok(())
    }

    /// Asks a linked node for a generation. The stream's last event is `Finished` or `Failed`; one that ends
    /// without them is broken (link, node or worker lost) and may be asked for again elsewhere. Dropping the
    /// stream cancels the generation there; not polling it makes the sender wait.
    pub fn generate(
        &self,
        at: NodeId,
        generate: &Generate,
    ) -> impl Future<Output = Result<BoxStream<'static, TokenEvent>, Failure>> + Send + use<> {
        let order = wire::encode(generate).map_err(|error| {
            let message = format!("the request cannot be sent to another node: {error}");
            Failure::new(ErrorCode::TooLarge, message)
        });
        let link = self.links().get(&at).cloned();
        async move { generation::generate(link.ok_or_else(generation::lost)?, order?.into()).await }
    }

    /// The nodes that are linked now.
    pub fn linked(&self) -> Vec<NodeId> {
        self.links().keys().copied().collect()
    }

    /// Asks a linked node what it has of a repository; `None` if it has nothing, or does not say in time.
    pub fn files(
        &self,
        at: NodeId,
        asked: &HubRevision,
    ) -> impl Future<Output = Option<HeldFiles>> + Send + use<> {
        let link = self.links().get(&at).cloned();
        let order = wire::encode(asked).ok();
        async move { files::files(link?, order?.into()).await }
    }

    /// Wishes that a linked node fetches a repository; returns when that is decided there.
    pub fn download(
        &self,
        at: NodeId,
        wished: &HubRevision,
    ) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
        let link = self.links().get(&at).cloned();
        let order = wire::encode(wished);
        async move {
            let gone = || Failure::new(ErrorCode::WorkerLost, "it is not reachable");
            let order = order.map_err(|error| {
                Failure::new(ErrorCode::TooLarge, format!("it cannot be asked: {error}"))
            })?;
            files::download(link.ok_or_else(gone)?, order.into()).await
        }
    }

    /// Asks a linked node for bytes of a file, on a connection for that alone. The stream ends early if the other end or the
    /// way there breaks or stands still; it never gives more bytes than were asked for. Not polling it makes the sender
    /// wait, dropping it makes it stop.
    pub fn bytes(
        &self,
        at: NodeId,
        asked: &BytesAsked,
    ) -> impl Future<Output = Result<BoxStream<'static, Bytes>, BytesError>> + Send + use<> {
        let link = self.links().get(&at).cloned();
        let (order, range) = (wire::encode(asked), asked.range.clone());
        async move {
            let link = link.ok_or(BytesError::Unreachable)?;
            let order = order.map_err(|_| BytesError::NotThere)?;
            files::bytes(&link.bulk, order.into(), range.end - range.start).await
        }
    }

    /// Starts a pairing with a node that is seen now; how it goes on comes as [`NetEvent::Pairing`]. Whichever of the two
    /// is in a cluster lets the other in; of two that are in none, this one founds a cluster.
    pub async fn pair(&self, node: NodeId) -> Result<(), PairingEnd> {
        let wished = self.wish(|reply| Wish::Pair(node, reply)).await;
        wished.unwrap_or(Err(PairingEnd::Leaving))
    }

    /// The person here has compared the digits of the pairing with `node`: they are the same.
    pub async fn confirm_pairing(&self, node: NodeId) -> Result<(), PairingEnd> {
        self.click(node, Click::Confirm).await
    }

    /// Ends the pairing with `node`, whoever started it.
    pub async fn cancel_pairing(&self, node: NodeId) -> Result<(), PairingEnd> {
        self.click(node, Click::Cancel).await
    }

    /// Removes a member from this node's cluster, for all members; it need not be reachable. Its links end at once.
    pub async fn remove_member(&self, node: NodeId) -> Result<(), RosterError> {
        let wished = self.wish(|reply| Wish::Remove(node, reply)).await;
        wished.unwrap_or(Err(RosterError::Leaving))
    }

    /// Takes this node out of its cluster: tells the members that can be reached, and forgets the roster. It goes on
    /// as a newcomer.
    pub async fn leave_cluster(&self) -> Result<(), RosterError> {
        self.remove_member(self.inner.node).await
    }

    async fn click(&self, node: NodeId, click: Click) -> Result<(), PairingEnd> {
        let wished = self.wish(|reply| Wish::Click(node, click, reply)).await;
        wished.unwrap_or(Err(PairingEnd::Leaving))
    }

    /// Asks the hub; `None` if it has stopped.
    async fn wish<T>(&self, wish: impl FnOnce(oneshot::Sender<T>) -> Wish) -> Option<T> {
        let (reply, granted) = oneshot::channel();
        let wish = HubMessage::Wish(wish(reply));
        self.inner.hub.send(wish).await.ok()?;
        granted.await.ok()
    }

    /// Says goodbye to peers and discovery and stops; returns when that is done, within a second.
    pub async fn leave(&self) {
        let (done, left) = oneshot::channel();
        let leave = async {
            // An error means that it has stopped already.
            if self.inner.hub.send(HubMessage::Leave(done)).await.is_ok() {
                let _ = left.await;
            }
        };
        // The hub has its own limit, a shorter one; this is for a hub that waits for a reader of events.
        let _ = timeout(2 * LEAVE_TIMEOUT, leave).await;
        self.inner.stop.cancel();
    }

    fn links(&self) -> RwLockReadGuard<'_, HashMap<NodeId, Outbound>> {
        // The table is whole between any two statements, so a panic elsewhere does not spoil it.
        self.inner
            .registry
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for NetHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetHandle({})", self.inner.address)
    }
}

fn encode(frame: &PeerFrame) -> Result<Bytes, SendError> {
    wire::encode(frame)
        .map(Bytes::from)
        .map_err(|_| SendError::TooLarge)
}

/// Queues bytes for a peer, or ends the session that has no room: its successor is told everything anew.
fn queue(link: &Outbound, bytes: Bytes) {
    if link.control.try_send(bytes).is_err() {
        link.stop.cancel();
    }
}
