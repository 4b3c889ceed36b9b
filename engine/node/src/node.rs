//! A node as its owner holds it: everything started, wired together, and ended in the right order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::{ErrorCode, Failure, InstanceId, ModelId, NodeId};
use cluster::{ClusterView, InstanceState, InstanceView, NodeSeed, State};
use net::{Identity, IdentityError, KeyStoreError};
use serve::membership::Ask;
use serve::{Gateway, InProcess, Metrics};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::api_port::Ports;
use crate::cluster_actor::{ClusterActor, ClusterHandle};
use crate::config::NodeConfig;
use crate::control::{Control, ControlHandle, Switches};
use crate::data_folder::{DataFolder, DataFolderError};
use crate::disk::Disks;
use crate::downloads::Downloads;
use crate::gateway::{self, GatewayParts, NodeGateway, Opening, Remote};
use crate::hub_token::HubToken;
use crate::idle::Idle;
use crate::membership::{Keeper, Membership};
use crate::memory::{self, Memory};
use crate::mirror::Linked;
use crate::models::LocalModels;
use crate::network::Network;
use crate::on_disk;
use crate::peer_requests::PeerRequests;
use crate::recent_models::RecentModels;
use crate::session_token;
use crate::settings::{InvalidSetting, Settings, SettingsFile, SettingsFileError, SomeSettings};
use crate::source::Source;
use crate::supervisor::{Activity, KeptPrefixes, Running, Supervisor, WorkerSettings};
use crate::user_data::UserFiles;

/// A model named at the start is ready within this, or the start fails: reading hundreds of gigabytes from a slow disk.
const LOAD_LIMIT: Duration = Duration::from_mins(30);

/// Why a node did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Its data folder can't be used.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// The file with its settings can't be used.
    #[error(transparent)]
    SettingsFile(#[from] SettingsFileError),
    /// What it was told is no setting.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
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
    cluster: ClusterHandle,
    opening: Arc<Opening>,
    control: ControlHandle,
    models: LocalModels,
    activity: watch::Receiver<Vec<Activity>>,
    members: watch::Receiver<Arc<Membership>>,
    recent: RecentModels,
    gateway: Arc<dyn Gateway>,
    api: InProcess,
    tasks: [JoinHandle<()>; 4],
    data: Mutex<Option<DataFolder>>,
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl NodeHandle {
    /// Starts a node. Its API answers when this returns.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        let kept = Kept::take(&config)?;
        let identity = identity(&config)?;
        let node_id = identity.node_id();
        let models = LocalModels::open(&config, &kept.settings.model_folders).await?;
        let (net, net_receiver) = watch::channel(None);
        let linked = Arc::new(Linked::new(node_id, &net_receiver));
        let source = Source::of(&config, &kept.hub_token, models.places(), linked);
        let metrics = Metrics::new();
        let running = Running::new(&metrics);
        let worker = worker_settings(&config, &kept.settings);
        let (supervisor, worker_events) = Supervisor::new(worker, &models, &source, &running);
        let members = kept.membership.changes();
        let cluster = ClusterActor {
            state: State::new(seed(&kept.settings, node_id)),
            supervisor,
            membership: kept.membership,
            worker_events,
        }
        .start();
        let opening = opening(&config, &source, &cluster, &models);
        let (control, ends) = ControlHandle::new(kept.settings.clone());
        let recent = RecentModels::start(config.recent_models_file(), cluster.changes());
        let disks = Disks::of(&models, &cluster, &recent);
        let (downloads, downloading) = downloads(&config, source, &disks, &control).start();
        let gateway: Arc<dyn Gateway> = Arc::new(NodeGateway::new(GatewayParts {
            cluster: cluster.clone(),
            models: models.clone(),
            opening: Arc::clone(&opening),
            running: running.clone(),
            net: net_receiver,
            control: control.clone(),
            members: members.clone(),
            user_files: kept.user_files,
            downloads: downloads.clone(),
            disks,
        }));
        let activity = running.activity();
        let (from, to) = (members.clone(), cluster.clone());
        let requests = PeerRequests::of(running, models.places(), downloads);
        let controlling = Control {
            settings: kept.settings,
            fresh: kept.fresh,
            models: models.clone(),
            file: kept.file,
            ports: Ports::closed(&gateway, &metrics, config.api_ip, &kept.session),
            network: Network::new(config, identity, requests, from, to, net),
            cluster: cluster.clone(),
        }
        .start(ends)
        .await?;
        let unloading = tokio::spawn(idle(&cluster, &models, &activity, &control).run());
        let telling = tokio::spawn(on_disk::keep_telling(models.clone(), cluster.clone()));
        tracing::info!(node = %node_id.short(), "the node runs");
        Ok(Self {
            node_id,
            cluster,
            opening,
            control,
            models,
            activity,
            members,
            recent,
            api: InProcess::new(Arc::clone(&gateway), metrics),
            gateway,
            tasks: [controlling, unloading, downloading, telling],
            data: Mutex::new(Some(kept.data)),
        })
    }

    /// Its id.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// Follows its switches: its settings, where its API listens, whether it takes part in the network.
    pub fn switches(&self) -> watch::Receiver<Arc<Switches>> {
        self.control.switches()
    }

    /// Changes settings, now and for later starts. After an error everything is as it was.
    pub async fn change(&self, some: SomeSettings) -> Result<(), Failure> {
        self.control.change(some).await
    }

    /// The HTTP API without a port.
    pub fn api(&self) -> &InProcess {
        &self.api
    }

    /// Follows what the instances that this node drives are doing.
    pub fn activity(&self) -> watch::Receiver<Vec<Activity>> {
        self.activity.clone()
    }

    /// Follows who belongs to its cluster and who would like to.
    pub fn membership(&self) -> watch::Receiver<Arc<Membership>> {
        self.members.clone()
    }

    /// Calls another node to pair with it. The digits to compare come with [`Self::membership`].
    pub async fn pair(&self, node: NodeId) -> Result<(), Failure> {
        self.gateway.pairing(Ask::Start(node)).await
    }

    /// Follows which models ran last, newest first; some may have left the disk.
    pub fn recent_models(&self) -> watch::Receiver<Vec<ModelId>> {
        self.recent.list()
    }

    /// The models on this node's disk, by name.
    pub async fn models(&self) -> Vec<ModelId> {
        let models = self.models.list().await;
        models.into_iter().map(|model| model.name).collect()
    }

    /// Opens a model, divided as is best; returns long before it is ready.
    pub async fn open(&self, model: &str) -> Result<InstanceId, Failure> {
        self.opening.open(&gateway::Asked::named(model)).await
    }

    /// Closes an instance. One that is not there is closed.
    pub async fn close(&self, instance: InstanceId) -> Result<(), Failure> {
        Ok(self.cluster.close(instance).await?)
    }

    /// Follows the cluster.
    pub fn changes(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.cluster.changes()
    }

    /// Opens a model as `wish` says it, and waits until it answers; the name to use in requests.
    pub async fn load(&self, wish: serve::OpenInstance) -> Result<ModelId, Failure> {
        let asked = gateway::asked(wish);
        let id = self.opening.open(&asked).await?;
        let mut deadline = Instant::now() + LOAD_LIMIT;
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
                // However long that takes: whoever waits sees the bytes come.
                Some((InstanceState::Downloading, _)) => deadline = Instant::now() + LOAD_LIMIT,
                Some((InstanceState::Loading | InstanceState::Mending, _)) => {}
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

    /// Takes this node out of its cluster: its members hear of it if they can be reached, and it forgets them.
    pub async fn leave_cluster(&self) -> Result<(), Failure> {
        self.gateway.pairing(Ask::Remove(self.node_id)).await
    }

    /// Says goodbye to the cluster, ends the server and the workers, and gives the data folder back.
    pub async fn shut_down(&self) {
        // At the same time: the others place again while the workers end here.
        tokio::join!(self.control.stop(), self.cluster.end());
        self.data
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// What a node finds in its data folder.
struct Kept {
    data: DataFolder,
    file: SettingsFile,
    settings: Settings,
    /// What the settings would be if none were kept.
    fresh: Settings,
    user_files: UserFiles,
    session: String,
    membership: Keeper,
    hub_token: Arc<HubToken>,
}

impl Kept {
    fn take(config: &NodeConfig) -> Result<Self, StartError> {
        let data = DataFolder::take(config)?;
        let file = SettingsFile::new(config.settings_file());
        let told = file.read()?.and(config.overrides.clone());
        let path = config.session_file();
        let session = session_token::load_or_create(&path);
        let hub_token = Arc::new(HubToken::open(config).map_err(IdentityError::from)?);
        Ok(Self {
            data,
            file,
            settings: config.defaults.clone().with(&told)?,
            fresh: config.defaults.clone().with(&config.overrides)?,
            user_files: UserFiles::open(config, Arc::clone(&hub_token))?,
            hub_token,
            membership: Keeper::open(config.roster_file(), config.cluster_key.is_some())?,
            session: session.map_err(|source| SettingsFileError::Io { path, source })?,
        })
    }
}

fn identity(config: &NodeConfig) -> Result<Identity, IdentityError> {
    Identity::load_or_create(&key_store(config)?)
}

/// The login keychain, with an entry for each data folder.
#[cfg(target_os = "macos")]
fn key_store(config: &NodeConfig) -> Result<net::identity::KeychainKeyStore, KeyStoreError> {
    net::identity::KeychainKeyStore::new(
        crate::config::KEYCHAIN_SERVICE,
        &config.data.to_string_lossy(),
    )
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

fn opening(
    config: &NodeConfig,
    source: &Source,
    cluster: &ClusterHandle,
    models: &LocalModels,
) -> Arc<Opening> {
    let remote = Remote::new(source.clone());
    Opening::new(
        cluster.clone(),
        models.clone(),
        config.worker.clone(),
        remote,
    )
}

fn downloads(
    config: &NodeConfig,
    source: Source,
    disks: &Disks,
    control: &ControlHandle,
) -> Downloads {
    Downloads {
        source,
        disks: disks.clone(),
        file: config.downloads_file(),
        switches: control.switches(),
    }
}

fn idle(
    cluster: &ClusterHandle,
    models: &LocalModels,
    activity: &watch::Receiver<Vec<Activity>>,
    control: &ControlHandle,
) -> Idle {
    Idle {
        cluster: cluster.clone(),
        models: models.clone(),
        activity: activity.clone(),
        switches: control.switches(),
    }
}

fn worker_settings(config: &NodeConfig, settings: &Settings) -> WorkerSettings {
    let bytes_max = settings.prefix_disk_bytes_max;
    WorkerSettings {
        program: config.worker.clone(),
        run_folder: config.run_folder(),
        prefixes: (bytes_max > 0).then(|| KeptPrefixes {
            root: config.prefixes_folder(),
            bytes_max,
        }),
        speculates: settings.speculation,
    }
}

fn find(view: &ClusterView, id: InstanceId) -> Option<InstanceView> {
    view.instances.iter().find(|found| found.id == id).cloned()
}

fn seed(settings: &Settings, id: NodeId) -> NodeSeed {
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
        name: settings.name.clone(),
        memory_total_bytes: memory.total_bytes,
        memory_available_bytes: memory.lendable_bytes(),
        memory_lent_bytes_max: settings.lend_memory_bytes_max,
        memory_bandwidth_bytes_per_s: memory::bandwidth_bytes_per_s(&chip),
        chip,
    }
}
