//! Everything a node is told at its start, as plain values. Who fills it in: the command line, the app, a test.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use net::{ClusterKey, ClusterKeyError, Discovery};
use store::download::Hub;
use thiserror::Error;

use crate::environment::{Environment, NoDataFolder};
use crate::memory;
use crate::settings::{Settings, SomeSettings};

/// Port of the HTTP API unless told otherwise.
pub const API_PORT: u16 = 3775;

/// Where programs made for Ollama look unless told otherwise.
pub const OLLAMA_PORT: u16 = 11_434;

/// Name of a cluster that nobody has named.
pub const CLUSTER_NAME: &str = "espalier";

/// Under which name a Mac's login keychain has the keys of nodes.
#[cfg(target_os = "macos")]
pub(crate) const KEYCHAIN_SERVICE: &str = "Espalier";

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
    /// Where models come from.
    pub hub: Hub,
    /// Where Hugging Face's own tools keep what they fetched; it need not be there.
    pub hugging_face_cache: Option<PathBuf>,
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

    /// Where the roster of this node's cluster is kept.
    pub(crate) fn roster_file(&self) -> PathBuf {
        self.data.join("roster")
    }

    /// Where the token of dashboards in browsers is kept.
    pub(crate) fn session_file(&self) -> PathBuf {
        self.data.join("session")
    }

    /// Where conversations are kept.
    pub(crate) fn conversations_folder(&self) -> PathBuf {
        self.data.join("conversations")
    }

    /// Where beginnings of prompts are kept, computed.
    pub(crate) fn prefixes_folder(&self) -> PathBuf {
        self.data.join("prefixes")
    }

    /// Where the hashes of the API's keys are kept.
    pub(crate) fn api_keys_file(&self) -> PathBuf {
        self.data.join("api_keys.toml")
    }

    /// Where the node's log is written.
    pub(crate) fn log_file(&self) -> PathBuf {
        log_file(&self.data)
    }

    /// Where the user's token for the hub is kept, on a Mac the keychain instead.
    #[cfg(not(target_os = "macos"))]
    pub(crate) fn hub_token_file(&self) -> PathBuf {
        self.data.join("hub.token")
    }

    /// Where it is kept which models are wanted from a hub.
    pub(crate) fn downloads_file(&self) -> PathBuf {
        self.data.join("downloads.toml")
    }

    /// Where the names of the models that ran last are kept.
    pub(crate) fn recent_models_file(&self) -> PathBuf {
        self.data.join("recent-models")
    }

    /// Where the node's key is kept.
    pub fn key_file(&self) -> PathBuf {
        self.data.join("node.key")
    }
}

impl NodeConfig {
    /// For the app: as the environment and the user's settings say, on all networks.
    pub fn of_an_app(
        environment: &Environment,
        this_program: &Path,
    ) -> Result<Self, AppConfigError> {
        let key = environment.cluster_key.as_ref();
        Ok(Self {
            data: environment.data_folder(None)?,
            cluster_name: CLUSTER_NAME.to_owned(),
            cluster_key: key.map(|key| ClusterKey::new(key)).transpose()?,
            discovery: Discovery::All,
            peers: Vec::new(),
            peer_listen: (Ipv4Addr::UNSPECIFIED, 0).into(),
            api_ip: Ipv4Addr::LOCALHOST.into(),
            worker: worker_program(environment.worker.clone(), this_program),
            hub: environment.hub(),
            hugging_face_cache: environment.hugging_face_cache(),
            defaults: Settings::of_an_app(memory::host_name()),
            overrides: SomeSettings::default(),
        })
    }
}

/// Where a node logs to, by its data folder.
pub(crate) fn log_file(data: &Path) -> PathBuf {
    data.join("logs").join("espalier.log")
}

/// What the environment says makes no sense.
#[derive(Debug, Error)]
pub enum AppConfigError {
    /// There is no place for the data.
    #[error(transparent)]
    NoDataFolder(#[from] NoDataFolder),
    /// The cluster key can't be one.
    #[error(transparent)]
    ClusterKey(#[from] ClusterKeyError),
}

/// The worker program: the one named, or the one beside this program (or one folder up, where cargo puts it for
/// test programs).
pub fn worker_program(named: Option<PathBuf>, this_program: &Path) -> PathBuf {
    const NAME: &str = "espalier-worker";
    named.unwrap_or_else(|| {
        // On macOS a program that was started through a link hears of the link, and beside that there is no worker.
        let real = this_program.canonicalize();
        let this_program = real.as_deref().unwrap_or(this_program);
        let folders = this_program.ancestors().skip(1).take(2);
        let mut candidates = folders.map(|folder| folder.join(NAME));
        candidates
            .find(|path| path.is_file())
            .unwrap_or_else(|| this_program.with_file_name(NAME))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_worker_lies_beside_the_real_program_not_beside_a_link_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (app, bin) = (folder.path().join("app"), folder.path().join("bin"));
        for folder in [&app, &bin] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(app.join("espalier"), "").unwrap();
        let link = bin.join("espalier");
        symlink("../app/espalier", &link).unwrap();
        let worker = app.canonicalize().unwrap().join("espalier-worker");
        // Also while it is missing, so that the message names the right place.
        assert_eq!(worker_program(None, &link), worker);
        fs::write(&worker, "").unwrap();
        assert_eq!(worker_program(None, &link), worker);
        let named = PathBuf::from("/elsewhere");
        assert_eq!(worker_program(Some(named.clone()), &link), named);
    }
}
