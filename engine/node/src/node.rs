//! A node as its owner holds it: everything started, wired together, and ended in the right order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::{ErrorCode, Failure, InstanceId, ModelId, NodeId, ShardingChoice};
use cluster::{ClusterView, InstanceState, InstanceView, NodeSeed, State};
use net::{Identity, KeyStoreError, NetConfig};
use serve::{Metrics, ServeConfig, Server};
use thiserror::Error;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cluster_actor::{ClusterActor, ClusterHandle, WORKER_EVENTS_MAX};
use crate::config::NodeConfig;
use crate::data_folder::{DataFolder, DataFolderError};
use crate::gateway::{Asked, NodeGateway, Opening};
use crate::memory::{self, Memory};
use crate::models::LocalModels;
use crate::peer_requests::PeerRequests;
use crate::supervisor::{Supervisor, WorkerSettings};

/// A model named at the start is ready within this, or the start fails: reading hundreds of gigabytes from a slow disk.
const LOAD_LIMIT: Duration = Duration::from_mins(30);
/// Answers under way get this long to end before their connections are cut.
const SERVER_END_LIMIT: Duration = Duration::from_secs(1);

/// Why a node did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Its data folder can't be used.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// Its key can't be used.
    #[error(transparent)]
    Identity(#[from] net::IdentityError),
    /// The embedded model can't be laid out.
    #[error(transparent)]
    Models(#[from] store::SproutError),
    /// The network can't be used.
    #[error(transparent)]
    Net(#[from] net::StartError),
    /// The API's port can't be used.
    #[error(transparent)]
    Api(#[from] serve::BindError),
}

/// A running node. Dropping it ends it without goodbye.
pub struct NodeHandle {
    node_id: NodeId,
    api_address: SocketAddr,
    peer_address: SocketAddr,
    cluster: ClusterHandle,
    opening: Arc<Opening>,
    stop_server: oneshot::Sender<()>,
    server: Mutex<JoinHandle<()>>,
    _data: DataFolder,
}

impl NodeHandle {
    /// Starts a node. Its API answers when this returns.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        let data = DataFolder::take(&config)?;
        let identity =
            Identity::load_or_create(&key_store(&config).map_err(net::IdentityError::from)?)?;
        let node_id = identity.node_id();
        let models = LocalModels::open(&config.data).await?;
        let (worker_sender, worker_events) = mpsc::channel(WORKER_EVENTS_MAX);
        let settings = WorkerSettings {
            program: config.worker.clone(),
            run_folder: config.run_folder(),
        };
        let supervisor = Supervisor::new(settings, models.clone(), worker_sender);
        let running = supervisor.running();
        let handler = Arc::new(PeerRequests {
            running: running.clone(),
        });
        let (net, net_events) = net::start(net_config(&config, identity), handler).await?;
        let cluster = ClusterActor {
            state: State::new(seed(&config, node_id)),
            supervisor,
            net: net.clone(),
            net_events,
            worker_events,
        }
        .start();
        let opening = Opening::new(cluster.clone(), models.clone(), config.worker.clone());
        let opening = Arc::new(opening);
        let gateway = NodeGateway::new(
            cluster.clone(),
            models,
            Arc::clone(&opening),
            running,
            net.clone(),
        );
        let listen = ServeConfig {
            listen: config.api_listen,
        };
        let server = match Server::bind(listen, Arc::new(gateway), Metrics::new()).await {
            Ok(server) => server,
            Err(error) => {
                cluster.leave().await;
                return Err(error.into());
            }
        };
        let api_address = server.address();
        let (stop_server, stopped) = oneshot::channel();
        let server = tokio::spawn(server.run(async move {
            // A dropped handle stops it too.
            let _ = stopped.await;
        }));
        tracing::info!(node = %node_id.short(), api = %api_address, peers = %net.address(), "the node runs");
        Ok(Self {
            node_id,
            api_address,
            peer_address: net.address(),
            cluster,
            opening,
            stop_server,
            server: Mutex::new(server),
            _data: data,
        })
    }

    /// Its id.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// Where its HTTP API listens.
    pub fn api_address(&self) -> SocketAddr {
        self.api_address
    }

    /// Where it listens for peers.
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// Follows the cluster.
    pub fn changes(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.cluster.changes()
    }

    /// Opens a model and waits until it answers; the name to use in requests.
    pub async fn load(&self, model: &str, sharding: ShardingChoice) -> Result<ModelId, Failure> {
        let asked = Asked {
            sharding,
            ..Asked::named(model)
        };
        let id = self.opening.open(&asked).await?;
        let deadline = Instant::now() + LOAD_LIMIT;
        let mut changes = self.cluster.changes();
        loop {
            let found = find(&changes.borrow_and_update(), id);
            match found.map(|instance| (instance.state, instance)) {
                None => return Err(Failure::new(ErrorCode::Cancelled, "the model was closed")),
                Some((InstanceState::Ready, instance)) => return Ok(instance.model),
                Some((InstanceState::Failed | InstanceState::Placing, instance)) => {
                    if let Some(failure) = instance.failure {
                        return Err(failure);
                    }
                }
                Some((
                    InstanceState::Downloading | InstanceState::Loading | InstanceState::Mending,
                    _,
                )) => {}
            }
            tokio::select! {
                news = changes.changed() => news.map_err(|_| crate::cluster_actor::Leaving)?,
                () = sleep_until(deadline) => {
                    let message = format!("the model was not ready within {LOAD_LIMIT:?}");
                    return Err(Failure::new(ErrorCode::TimedOut, message));
                }
            }
        }
    }

    /// Returns when the HTTP server has ended, which it does not by itself.
    pub async fn failed(&self) {
        let mut server = self.server.lock().await;
        // A panic in it counts as its end.
        let _ = (&mut *server).await;
    }

    /// Says goodbye to the cluster, ends the workers and the server.
    pub async fn shut_down(self) {
        // Nobody waits for it any more if the server is gone.
        let _ = self.stop_server.send(());
        let mut server = self.server.into_inner();
        self.cluster.leave().await;
        if timeout(SERVER_END_LIMIT, &mut server).await.is_err() {
            server.abort();
        }
    }
}

/// The login keychain, with an entry for each data folder.
#[cfg(target_os = "macos")]
fn key_store(config: &NodeConfig) -> Result<net::identity::KeychainKeyStore, KeyStoreError> {
    net::identity::KeychainKeyStore::new("Espalier", &config.data.to_string_lossy())
}

/// A private file in the data folder.
#[cfg(not(target_os = "macos"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the keychain of the other platform can refuse"
)]
fn key_store(config: &NodeConfig) -> Result<net::FileKeyStore, KeyStoreError> {
    Ok(net::FileKeyStore::new(config.key_file()))
}

fn find(view: &ClusterView, id: InstanceId) -> Option<InstanceView> {
    view.instances.iter().find(|found| found.id == id).cloned()
}

fn net_config(config: &NodeConfig, identity: Identity) -> NetConfig {
    NetConfig {
        identity,
        name: config.name.clone(),
        cluster_name: config.cluster_name.clone(),
        cluster_key: config.cluster_key.clone(),
        roster: None,
        listen: config.peer_listen,
        discovery: config.discovery.clone(),
        peers: config.peers.clone(),
    }
}

fn seed(config: &NodeConfig, id: NodeId) -> NodeSeed {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let chip = memory::chip();
    // A machine that does not say lends nothing, and says so in its status.
    let memory = Memory::measure().unwrap_or(Memory {
        total_bytes: 0,
        available_bytes: 0,
    });
    NodeSeed {
        id,
        epoch_ms: since_1970.as_millis() as u64,
        name: config.name.clone(),
        memory_total_bytes: memory.total_bytes,
        memory_available_bytes: memory.lendable_bytes(),
        memory_lent_bytes_max: config.lend_memory_bytes_max,
        memory_bandwidth_bytes_per_s: memory::bandwidth_bytes_per_s(&chip),
        chip,
    }
}
