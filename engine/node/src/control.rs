//! The one owner of the node's switches: takes wishes, carries out the difference, keeps the settings, shows how
//! things are. Decides nothing about the cluster.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{ErrorCode, Failure};
use serve::BindError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::StartError;
use crate::api_port::Ports;
use crate::cluster_actor::ClusterHandle;
use crate::config::OLLAMA_PORT;
use crate::models::LocalModels;
use crate::network::Network;
use crate::settings::{Settings, SettingsFile, SettingsFileError, SomeSettings};

/// Wishes that wait. Each takes at most some seconds, and people make them one after the other.
const COMMANDS_MAX: usize = 16;

/// How the node's switches are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switches {
    /// What the user wants.
    pub settings: Settings,
    /// Where the HTTP API listens, if it does.
    pub api: Option<SocketAddr>,
    /// Where it listens besides, for programs made for Ollama.
    pub ollama: Option<SocketAddr>,
    /// Where peers reach this node, if it takes part in the network.
    pub peers: Option<SocketAddr>,
}

/// Asks the owner.
#[derive(Debug, Clone)]
pub(crate) struct ControlHandle {
    commands: mpsc::Sender<Command>,
    switches: watch::Receiver<Arc<Switches>>,
}

#[derive(Debug)]
enum Command {
    Change {
        some: SomeSettings,
        done: oneshot::Sender<Result<(), Failure>>,
    },
    Reset {
        done: oneshot::Sender<Result<(), Failure>>,
    },
    Stop {
        done: oneshot::Sender<()>,
    },
}

/// What the owner works with.
pub(crate) struct Control {
    pub(crate) settings: Settings,
    /// The settings of a node whose user has changed none.
    pub(crate) fresh: Settings,
    pub(crate) models: LocalModels,
    pub(crate) file: SettingsFile,
    pub(crate) network: Network,
    pub(crate) ports: Ports,
    pub(crate) cluster: ClusterHandle,
}

impl ControlHandle {
    /// A handle, and what its owner will need. The two are made apart because the API, which the owner opens, needs
    /// the handle.
    pub(crate) fn new(settings: Settings) -> (Self, ControlEnds) {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (publish, switches) = watch::channel(Arc::new(Switches {
            settings,
            api: None,
            ollama: None,
            peers: None,
        }));
        (Self { commands, switches }, ControlEnds { inbox, publish })
    }

    /// Follows the switches.
    pub(crate) fn switches(&self) -> watch::Receiver<Arc<Switches>> {
        self.switches.clone()
    }

    /// Changes some settings, now and for the next start. On an error nothing has changed.
    pub(crate) async fn change(&self, some: SomeSettings) -> Result<(), Failure> {
        let (done, changed) = oneshot::channel();
        let sent = self.commands.send(Command::Change { some, done }).await;
        sent.map_err(|_| ending())?;
        changed.await.map_err(|_| ending())?
    }

    /// Makes all settings as they were at the first start.
    pub(crate) async fn reset(&self) -> Result<(), Failure> {
        let (done, reset) = oneshot::channel();
        let sent = self.commands.send(Command::Reset { done }).await;
        sent.map_err(|_| ending())?;
        reset.await.map_err(|_| ending())?
    }

    /// Says goodbye to the network and closes the API, because everything ends; returns when that is done.
    pub(crate) async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.commands.send(Command::Stop { done }).await.is_ok() {
            // An owner that is gone has stopped.
            let _ = stopped.await;
        }
    }
}

/// The owner's ends of a handle.
pub(crate) struct ControlEnds {
    inbox: mpsc::Receiver<Command>,
    publish: watch::Sender<Arc<Switches>>,
}

impl Control {
    /// Sets the switches as the settings say (if that fails, the cluster's actor is ended too) and then serves wishes, until told to stop or aborted.
    pub(crate) async fn start(mut self, ends: ControlEnds) -> Result<JoinHandle<()>, StartError> {
        if let Err(error) = self.switch_on().await {
            self.cluster.end().await;
            return Err(error);
        }
        self.publish(&ends.publish);
        Ok(tokio::spawn(self.run(ends)))
    }

    async fn switch_on(&mut self) -> Result<(), StartError> {
        if self.settings.api {
            let Settings {
                api_port,
                api_network,
                ..
            } = self.settings;
            self.ports.api.open(api_port, api_network).await?;
        }
        if let Err(error) = self.open_ollama().await {
            // Ollama itself may run; its users still reach this node at its own port.
            tracing::warn!(%error, "Ollama's port is not open");
        }
        if self.settings.join {
            self.network.join(&self.settings.name).await?;
        }
        Ok(())
    }

    async fn run(mut self, mut ends: ControlEnds) {
        loop {
            let command = tokio::select! {
                command = ends.inbox.recv() => command,
                () = self.ports.api.broken() => {
                    tracing::error!("the HTTP server stopped");
                    self.publish(&ends.publish);
                    continue;
                }
            };
            match command {
                Some(Command::Change { some, done }) => {
                    let changed = self.change(&some).await;
                    self.publish(&ends.publish);
                    // Whoever asked may have left.
                    let _ = done.send(changed);
                }
                Some(Command::Reset { done }) => {
                    let reset = self.reset().await;
                    self.publish(&ends.publish);
                    // Whoever asked may have left.
                    let _ = done.send(reset);
                }
                Some(Command::Stop { done }) => {
                    tokio::join!(
                        self.network.say_goodbye(),
                        self.ports.api.end(),
                        self.ports.ollama.end()
                    );
                    let _ = done.send(());
                    return;
                }
                None => return,
            }
        }
    }

    fn publish(&self, publish: &watch::Sender<Arc<Switches>>) {
        let switches = Switches {
            settings: self.settings.clone(),
            api: self.ports.api.address(),
            ollama: self.ports.ollama.address(),
            peers: self.network.address(),
        };
        publish.send_if_modified(|old| {
            let changed = **old != switches;
            if changed {
                *old = Arc::new(switches);
            }
            changed
        });
    }

    /// Carries a wish out and keeps it. After an error everything is as it was.
    async fn change(&mut self, some: &SomeSettings) -> Result<(), Failure> {
        let new = self.settings.clone().with(some);
        let new =
            new.map_err(|error| Failure::new(ErrorCode::InvalidRequest, error.to_string()))?;
        let file = self.file.clone();
        self.change_to(new, || file.add(some)).await
    }

    async fn reset(&mut self) -> Result<(), Failure> {
        let file = self.file.clone();
        self.change_to(self.fresh.clone(), || file.clear()).await
    }

    async fn change_to(
        &mut self,
        new: Settings,
        keep: impl FnOnce() -> Result<(), SettingsFileError>,
    ) -> Result<(), Failure> {
        let old = std::mem::replace(&mut self.settings, new);
        let mut changed = self.apply(&old).await;
        if changed.is_ok() {
            changed = keep().map_err(|error| internal(&error));
        }
        if changed.is_err() {
            let refused = std::mem::replace(&mut self.settings, old);
            // What worked a moment ago works again; if it does not, the switches show it.
            let _ = self.apply(&refused).await;
        }
        changed
    }

    /// Opens or closes Ollama's port, as the settings say. Other computers reach the API at its own.
    async fn open_ollama(&mut self) -> Result<(), BindError> {
        let settings = &self.settings;
        if settings.api && settings.ollama_port && settings.api_port != OLLAMA_PORT {
            return self.ports.ollama.open(OLLAMA_PORT, false).await;
        }
        self.ports.ollama.close();
        Ok(())
    }

    /// Carries out the difference to what was.
    async fn apply(&mut self, old: &Settings) -> Result<(), Failure> {
        let new = self.settings.clone();
        let same_door = new.api_port == old.api_port && new.api_network == old.api_network;
        if new.api && (!old.api || !same_door || self.ports.api.address().is_none()) {
            let opened = self.ports.api.open(new.api_port, new.api_network).await;
            opened.map_err(|error| taken(&error))?;
        }
        let opened = self.open_ollama().await;
        opened.map_err(|error| taken(&error))?;
        // Others know a node by the name under which it joined.
        if !new.join || new.name != old.name {
            self.network.part().await;
        }
        if new.join {
            let joined = self.network.join(&new.name).await;
            joined.map_err(|error| internal(&error))?;
        }
        if !new.api {
            self.ports.api.close();
        }
        if new.model_folders != old.model_folders {
            self.models.look_in(&new.model_folders);
        }
        if new.name != old.name || new.lend_memory_bytes_max != old.lend_memory_bytes_max {
            // An actor that is gone has nothing to change.
            let _ = self
                .cluster
                .change(new.name, new.lend_memory_bytes_max)
                .await;
        }
        Ok(())
    }
}

fn ending() -> Failure {
    Failure::new(ErrorCode::WorkerLost, "this node is shutting down")
}

/// Another program has the port, or it is not for this one.
fn taken(error: &BindError) -> Failure {
    crate::words::failure(ErrorCode::InvalidRequest, &error.to_string())
}

fn internal(error: &dyn std::error::Error) -> Failure {
    crate::words::failure(ErrorCode::Internal, &error.to_string())
}
