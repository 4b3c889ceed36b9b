//! The folder of a node's data: made at first use, locked while a node runs in it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::config::NodeConfig;

/// The file whose lock says that a node runs in the folder. It stays between runs: it also says whose folder it is.
pub(crate) const LOCK: &str = "lock";

/// Why a node cannot run in its folder.
#[derive(Debug, Error)]
pub enum DataFolderError {
    /// It cannot be made or written.
    #[error("cannot write to {}: {source} (hint: name another folder with --data DIR)", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another node has it.
    #[error("another node runs in {} (hint: give each node its own folder with --data DIR)", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// A folder that is this node's alone until this is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct DataFolder {
    /// The lock is the open file's.
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if it is not there, takes it, and sweeps what an earlier run left in its run folder.
    pub(crate) fn take(config: &NodeConfig) -> Result<Self, DataFolderError> {
        make(&config.data)?;
        let taken = Self::lock(&config.data)?;
        let run = config.run_folder();
        if run.is_dir() {
            std::fs::remove_dir_all(&run).map_err(failed(&run))?;
        }
        make(&run)?;
        make(&config.models_folder())?;
        Ok(taken)
    }

    /// Takes a folder that is there, and changes nothing in it.
    pub(crate) fn lock(data: &Path) -> Result<Self, DataFolderError> {
        let path = data.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                let path = data.to_owned();
                Err(DataFolderError::InUse { path })
            }
            Err(TryLockError::Error(source)) => Err(failed(&path)(source)),
        }
    }
}

fn make(path: &Path) -> Result<(), DataFolderError> {
    std::fs::create_dir_all(path).map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> DataFolderError + use<'_> {
    move |source| DataFolderError::Io {
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::settings::{Settings, SomeSettings};

    fn config(data: &Path) -> NodeConfig {
        NodeConfig {
            data: data.to_path_buf(),
            cluster_name: String::new(),
            cluster_key: None,
            discovery: net::Discovery::Off,
            peers: Vec::new(),
            peer_listen: ([127, 0, 0, 1], 0).into(),
            api_ip: Ipv4Addr::LOCALHOST.into(),
            worker: PathBuf::new(),
            hub: crate::environment::Environment::default().hub(),
            hugging_face_cache: None,
            defaults: Settings::of_a_server("test".to_owned()),
            overrides: SomeSettings::default(),
        }
    }

    #[test]
    fn a_folder_has_one_node_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder.path().join("new"));
        let taken = DataFolder::take(&config).unwrap();
        std::fs::write(config.run_folder().join("left-behind"), "").unwrap();
        let second = DataFolder::take(&config).unwrap_err();
        assert!(second.to_string().contains("--data"), "{second}");
        drop(taken);
        let _again = DataFolder::take(&config).unwrap();
        assert!(!config.run_folder().join("left-behind").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let error = DataFolder::take(&config(Path::new("/dev/null/x"))).unwrap_err();
        assert!(error.to_string().contains("/dev/null/x"), "{error}");
    }
}
