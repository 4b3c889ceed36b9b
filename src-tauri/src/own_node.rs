//! The app's own node: started with the app, ended with it, restarted when its user asks after a failed start.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use node::environment::Environment;
use node::{NodeConfig, NodeHandle};
use tauri::{AppHandle, Manager};
use tokio::time::timeout;

use crate::tray;

/// Everything a node has to end ends within this, or is ended by the system.
const END_LIMIT: Duration = Duration::from_secs(5);

/// The node, once it runs.
pub struct OwnNode {
    environment: Environment,
    running: RwLock<Option<Arc<NodeHandle>>>,
}

impl OwnNode {
    pub(crate) fn new(environment: Environment) -> Self {
        Self {
            environment,
            running: RwLock::new(None),
        }
    }

    /// The node, if it runs.
    pub(crate) fn get(&self) -> Option<Arc<NodeHandle>> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        running.clone()
    }

    /// Where it keeps everything.
    pub(crate) fn data_folder(&self) -> Result<PathBuf, String> {
        let folder = self.environment.data_folder(None);
        folder.map_err(|error| error.to_string())
    }

    fn replace(&self, node: Option<Arc<NodeHandle>>) -> Option<Arc<NodeHandle>> {
        let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *running, node)
    }
}

/// Starts the node; the tray shows how it went.
pub(crate) fn start(app: &AppHandle) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        tray::show(&app, tray::status::Status::starting());
        match try_start(&app).await {
            Ok(node) => tray::follow(&app, &node).await,
            Err(reason) => {
                tracing::error!(reason, "the node did not start");
                tray::show(&app, tray::status::Status::troubled(&reason));
            }
        }
    });
}

async fn try_start(app: &AppHandle) -> Result<Arc<NodeHandle>, String> {
    let own = app.state::<OwnNode>();
    let this_program = std::env::current_exe().map_err(|error| error.to_string())?;
    let config = NodeConfig::of_an_app(&own.environment, &this_program);
    let config = config.map_err(|error| error.to_string())?;
    let started = NodeHandle::start(config).await;
    let node = Arc::new(started.map_err(|error| error.to_string())?);
    own.replace(Some(Arc::clone(&node)));
    Ok(node)
}

/// Ends the node and everything it started.
pub(crate) fn end(app: &AppHandle) {
    if let Some(node) = app.state::<OwnNode>().replace(None) {
        tauri::async_runtime::block_on(shut_down(&node));
    }
}

/// Takes the node out of its cluster, for good, and ends it.
pub(crate) async fn leave_and_end(app: &AppHandle) {
    let Some(node) = app.state::<OwnNode>().replace(None) else {
        return;
    };
    let is_member = node.membership().borrow().roster.is_some();
    let is_joined = node.switches().borrow().peers.is_some();
    if is_member && is_joined {
        let left = timeout(END_LIMIT, node.leave_cluster()).await;
        if !matches!(left, Ok(Ok(()))) {
            tracing::warn!(?left, "the others still count this computer as a member");
        }
    }
    shut_down(&node).await;
}

async fn shut_down(node: &NodeHandle) {
    if timeout(END_LIMIT, node.shut_down()).await.is_err() {
        tracing::warn!("not everything ended within {END_LIMIT:?}");
    }
}
