//! `espalier serve`: a node until it is told to stop.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{ErrorCode, ShardingChoice};
use net::{ClusterKey, Discovery};
use serde_json::json;
use serve::OpenInstance;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::failure::CommandFailure;
use super::models::as_folder;
use super::{DiscoverArgument, QuantizeArgument, ServeArguments, ShardingArgument};
use crate::config::{NodeConfig, worker_program};
use crate::control::Switches;
use crate::environment::Environment;
use crate::logging;
use crate::memory;
use crate::node::NodeHandle;
use crate::settings::{ModelFolder, Settings, SomeSettings};
use crate::words;

/// Everything a node has to end ends within this, or is ended by the system.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn serve(
    arguments: ServeArguments,
    environment: &Environment,
) -> Result<(), CommandFailure> {
    // First of all, so that no signal is missed.
    let mut stop = StopSignals::new(arguments.exit_with_parent)?;
    let config = config(&arguments, environment)?;
    logging::start(environment, Some(&config.data));
    let node = tokio::select! {
        node = NodeHandle::start(config) => node.map_err(|error| from_text(&error.to_string()))?,
        () = stop.wait() => return Ok(()),
    };
    let outcome = tokio::select! {
        outcome = run(&node, &arguments) => outcome,
        () = stop.wait() => Ok(()),
    };
    tokio::select! {
        ended = timeout(SHUTDOWN_LIMIT, node.shut_down()) => {
            if ended.is_err() {
                tracing::warn!("not everything ended within {SHUTDOWN_LIMIT:?}");
            }
        }
        () = stop.wait() => tracing::warn!("told twice to stop; not waiting"),
    }
    outcome
}

/// Loads the model, says that the node is ready, and goes on until something fails.
async fn run(node: &NodeHandle, arguments: &ServeArguments) -> Result<(), CommandFailure> {
    let model = match &arguments.model {
        Some(model) => {
            let folder = |name: &String| as_folder(name).unwrap_or_else(|| name.clone());
            let QuantizeArgument {
                bits,
                kv_bits,
                draft,
            } = &arguments.quantize;
            let wish = OpenInstance {
                model: folder(model),
                sharding: choice(arguments.sharding),
                node_count: None,
                node_ids: Vec::new(),
                quantize: *bits,
                kv_bits: *kv_bits,
                draft: draft.as_ref().map(folder),
            };
            Some(node.load(wish).await?)
        }
        None => None,
    };
    let mut switches = node.switches();
    let now = Arc::clone(&switches.borrow_and_update());
    announce(
        node,
        &now,
        arguments.json,
        model.as_ref().map(|model| model.0.as_str()),
    );
    // The user may close the port, and leave and join the network; a server that stops by itself is a defect.
    let broken = |now: &Arc<Switches>| now.settings.api && now.api.is_none();
    // An error means that the owner of the switches is gone.
    let _ = switches.wait_for(broken).await;
    Err(CommandFailure::other("the HTTP server stopped"))
}

fn announce(node: &NodeHandle, now: &Switches, as_json: bool, model: Option<&str>) {
    let url = now
        .api
        .map_or_else(String::new, |address| format!("http://{address}"));
    if as_json {
        let line = json!({
            "event": "ready",
            "url": url,
            "node_id": node.node_id().to_string(),
            "port": now.api.map(|address| address.port()),
            "peer_port": now.peers.map(|address| address.port()),
            "model": model,
        });
        println!("{line}");
        return;
    }
    let name = model.unwrap_or(store::SPROUT);
    println!("Espalier is ready: {url}");
    println!();
    println!("Try it:");
    println!(
        "  curl {url}/v1/chat/completions -H 'Content-Type: application/json' -d '{{\"model\": \"{name}\", \"messages\": [{{\"role\": \"user\", \"content\": \"What is Espalier?\"}}]}}'"
    );
    println!("  espalier run {name}");
    println!();
    println!("Ctrl-C stops it.");
}

/// From what was said to what it means.
fn config(
    arguments: &ServeArguments,
    environment: &Environment,
) -> Result<NodeConfig, CommandFailure> {
    let data = environment
        .data_folder(arguments.data.clone())
        .map_err(|error| from_text(&error.to_string()))?;
    let key = arguments
        .cluster_key
        .as_ref()
        .or(environment.cluster_key.as_ref());
    let cluster_key = key
        .map(|key| ClusterKey::new(key))
        .transpose()
        .map_err(|error| from_text(&error.to_string()))?;
    let discovery = match (arguments.no_discovery, arguments.discover) {
        (true, _) => Discovery::Off,
        (false, DiscoverArgument::All) => Discovery::All,
        (false, DiscoverArgument::Loopback) => Discovery::Loopback,
    };
    // Several nodes on one machine for a try have no business on its networks.
    let peer_ip = match arguments.discover {
        DiscoverArgument::Loopback => Ipv4Addr::LOCALHOST,
        DiscoverArgument::All => Ipv4Addr::UNSPECIFIED,
    };
    let this_program = std::env::current_exe()
        .map_err(|error| CommandFailure::other(format!("cannot find this program: {error}")))?;
    Ok(NodeConfig {
        data,
        cluster_name: arguments.cluster_name.clone(),
        cluster_key,
        discovery,
        peers: arguments.peers.clone(),
        peer_listen: SocketAddr::new(IpAddr::V4(peer_ip), arguments.peer_port),
        api_ip: Ipv4Addr::LOCALHOST.into(),
        worker: worker_program(environment.worker.clone(), &this_program),
        hub: environment.hub(),
        hugging_face_cache: environment.hugging_face_cache(),
        defaults: Settings::of_a_server(memory::host_name()),
        overrides: SomeSettings {
            name: arguments.name.clone(),
            api: Some(true),
            api_port: arguments.port,
            ollama_port: arguments.ollama_port.then_some(true),
            lend_memory_bytes_max: arguments.lend_memory,
            model_folders: model_folders(arguments)?,
            ..SomeSettings::default()
        },
    })
}

/// The folders that were named; `None` leaves those of the settings. A path counts from where the command was given.
fn model_folders(arguments: &ServeArguments) -> Result<Option<Vec<ModelFolder>>, CommandFailure> {
    let (written, read) = (arguments.download_to.iter(), arguments.model_folders.iter());
    let named = written
        .map(|path| (path, true))
        .chain(read.map(|path| (path, false)));
    let folder = |(path, writable): (&PathBuf, bool)| {
        let path = std::path::absolute(path);
        let path = path.map_err(|error| from_text(&format!("a model folder: {error}")))?;
        Ok(ModelFolder { path, writable })
    };
    let folders: Vec<ModelFolder> = named.map(folder).collect::<Result<_, CommandFailure>>()?;
    Ok((!folders.is_empty()).then_some(folders))
}

fn choice(argument: ShardingArgument) -> ShardingChoice {
    match argument {
        ShardingArgument::Auto => ShardingChoice::Auto,
        ShardingArgument::Pipeline => ShardingChoice::Pipeline,
        ShardingArgument::Tensor => ShardingChoice::Tensor,
    }
}

fn from_text(message: &str) -> CommandFailure {
    words::failure(ErrorCode::Internal, message).into()
}

/// Everything that tells a node to stop.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    parent: Option<oneshot::Receiver<()>>,
}

impl StopSignals {
    fn new(exit_with_parent: bool) -> Result<Self, CommandFailure> {
        let watch = |kind| {
            signal(kind)
                .map_err(|error| CommandFailure::other(format!("cannot watch signals: {error}")))
        };
        Ok(Self {
            interrupt: watch(SignalKind::interrupt())?,
            terminate: watch(SignalKind::terminate())?,
            parent: exit_with_parent.then(stdin_closed),
        })
    }

    /// Returns each time the node is told to stop.
    async fn wait(&mut self) {
        let parent = async {
            match &mut self.parent {
                Some(closed) => {
                    // Its thread ends only by saying so.
                    let _ = closed.await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => return,
            _ = self.terminate.recv() => return,
            () = parent => {}
        }
        // Said once; it is not news the second time.
        self.parent = None;
    }
}

/// Standard input can only be waited for by a thread of its own; it ends with the process.
fn stdin_closed() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        while matches!(std::io::stdin().read(&mut ignored), Ok(count) if count > 0) {}
        // The node may have ended for another reason.
        let _ = sender.send(());
    });
    receiver
}
