//! Everything a node is told at its start, as plain values. Who fills it in: the command line, the app, a test.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use net::{ClusterKey, Discovery};

use crate::settings::{Settings, SomeSettings};

/// Port of the HTTP API unless told otherwise.
pub const API_PORT: u16 = 3775;

/// How a node runs, as far as it is decided at its start.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The folder for everything the node keeps.
    pub data: PathBuf,
    /// The cluster's name; only for people.
    pub cluster_name: String,
    /// What lets it into the cluster; without it the node works alone.
    pub cluster_key: Option<ClusterKey>,
    /// How it finds other nodes.
    pub discovery: Discovery,
    /// Nodes to call besides those it finds, each `HOST:PORT`.
    pub peers: Vec<String>,
    /// Where it listens for peers.
    pub peer_listen: SocketAddr,
    /// The address of its HTTP API; the port is a setting.
    pub api_ip: IpAddr,
    /// The worker program.
    pub worker: PathBuf,
    /// What the user may change later, as it is until then.
    pub defaults: Settings,
    /// What counts for this run, whatever was changed in earlier ones.
    pub overrides: SomeSettings,
}

impl NodeConfig {
    /// Where model folders are looked for.
    pub fn models_folder(&self) -> PathBuf {
        self.data.join("models")
    }

    /// Where files live that mean nothing once the node has ended.
    pub fn run_folder(&self) -> PathBuf {
        self.data.join("run")
    }

    /// Where the user's settings are kept.
    pub fn settings_file(&self) -> PathBuf {
        self.data.join("settings.toml")
    }

    /// Where the node's key is kept.
    pub fn key_file(&self) -> PathBuf {
        self.data.join("node.key")
    }
}

/// The worker program: the one named, or the one beside this program (or one folder up, where cargo puts it for
/// test programs).
pub fn worker_program(named: Option<PathBuf>, this_program: &Path) -> PathBuf {
    const NAME: &str = "espalier-worker";
    named.unwrap_or_else(|| {
        let folders = this_program.ancestors().skip(1).take(2);
        let mut candidates = folders.map(|folder| folder.join(NAME));
        candidates
            .find(|path| path.is_file())
            .unwrap_or_else(|| this_program.with_file_name(NAME))
    })
}
