//! One model's folder: the files it must have, checked before anything is believed of it.

use std::path::{Path, PathBuf};

use base::{ErrorCode, Failure, Fingerprint};
use serde::de::DeserializeOwned;

use crate::{fingerprint, weights};

/// A folder that holds a complete model, as far as names, sizes and headers tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFolder {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub fingerprint: Fingerprint,
    /// Bytes of its weight files.
    pub weights_bytes: u64,
}

/// Why a folder is not a model's.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file that every model has is not there.
    #[error("{} has no {file} (hint: a model's folder holds config.json, tokenizer.json and *.safetensors)", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: &'static str,
    },
    /// A file is not what it should be.
    #[error("{} is damaged: {reason} (hint: fetch the file again)", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused.
    #[error("cannot read {}: {error} (hint: check its permissions)", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Four times the largest index of a known model.
const JSON_BYTES_MAX: u64 = 64 << 20;

impl ModelFolder {
    /// Checks a folder: everything that must be there is, no index leads out of it, and no weight file is cut short.
    /// Reads headers and samples, so it is quick for large models too.
    pub fn check(path: &Path) -> Result<Self, FolderError> {
        for file in ["config.json", "tokenizer.json"] {
            if read_json_capped::<serde_json::Value>(path, file)?.is_none() {
                return Err(FolderError::Missing {
                    folder: path.to_owned(),
                    file,
                });
            }
        }
        let files = weights::read_all(path)?;
        Ok(Self {
            path: path.to_owned(),
            fingerprint: fingerprint::of(path, &files)?,
            weights_bytes: files.iter().map(|file| file.bytes).sum(),
        })
    }
}

impl FolderError {
    pub(crate) fn damaged(folder: &Path, file: &str, reason: String) -> Self {
        Self::Damaged {
            path: folder.join(file),
            reason,
        }
    }

    pub(crate) fn read(path: &Path, error: std::io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            error,
        }
    }
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        let code = match &error {
            FolderError::Missing { .. } | FolderError::Damaged { .. } => ErrorCode::ModelDamaged,
            FolderError::Read { .. } => ErrorCode::Internal,
        };
        crate::catalogue::failure(code, &error)
    }
}

/// A JSON file of a folder; `None` if it is not there.
pub(crate) fn read_json_capped<T: DeserializeOwned>(
    folder: &Path,
    file: &str,
) -> Result<Option<T>, FolderError> {
    let Some(bytes) = read_capped(folder, file)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| FolderError::damaged(folder, file, error.to_string()))
}

/// A small file of a folder; `None` if it is not there.
pub(crate) fn read_capped(folder: &Path, file: &str) -> Result<Option<Vec<u8>>, FolderError> {
    let path = folder.join(file);
    let bytes = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FolderError::read(&path, error)),
    };
    if bytes > JSON_BYTES_MAX {
        return Err(FolderError::damaged(
            folder,
            file,
            format!("it has {bytes} bytes, more than {JSON_BYTES_MAX}"),
        ));
    }
    std::fs::read(&path)
        .map(Some)
        .map_err(|error| FolderError::read(&path, error))
}

#[cfg(test)]
pub(crate) mod tests;
