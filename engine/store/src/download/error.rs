//! Why a download ended without a model, and what to do then.

use std::io;
use std::path::{Path, PathBuf};

use base::{ErrorCode, Failure};

use crate::FolderError;

/// Why there is no model at the end of a download. What was verified stays, and the next one goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The user said so.
    #[error(
        "nothing is fetched from a hub while HF_HUB_OFFLINE is set (hint: unset it, or copy the model's folder here)"
    )]
    Offline,
    /// The address of the hub, a proxy or a token cannot be what was meant.
    #[error("{what} cannot be used: {reason} (hint: correct it, or unset it)")]
    Setting {
        /// Which.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// The hub knows nothing of that name.
    #[error(
        "{url} is not there (hint: check the name and the revision; a private one needs a token, in the settings or as HF_TOKEN)"
    )]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// The hub wants to know who asks, or does not let them.
    #[error(
        "the hub does not give out {url} (hint: accept the model's terms on its page, and give a token that may read it, in the settings or as HF_TOKEN)"
    )]
    Forbidden {
        /// What was asked for.
        url: String,
    },
    /// It went wrong too often.
    #[error(
        "cannot fetch {what}: {reason} (hint: start the download again later; it goes on where it stopped)"
    )]
    Unreachable {
        /// The file, or the list of files.
        what: String,
        /// What happened the last time.
        reason: String,
    },
    /// The hub says what makes no sense.
    #[error(
        "the hub answered what cannot be used: {reason} (hint: check HF_ENDPOINT; it must speak the API of huggingface.co)"
    )]
    Strange {
        /// What is wrong with it.
        reason: String,
    },
    /// The repository holds what no honest one does.
    #[error(
        "the repository is refused for {what:?}: {reason} (hint: do not use this repository; it is not made as a model's is)"
    )]
    Refused {
        /// A file.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository holds something else.
    #[error(
        "this is no model that can run here: {reason} (hint: look for a repository with *.safetensors, config.json and tokenizer.json, such as those of mlx-community)"
    )]
    NotAModel {
        /// What is missing.
        reason: String,
    },
    /// All files are what the hub says they are, and no model.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What came is not what the hub said would come, again and again.
    #[error(
        "{file} comes with other bytes than its hash says, {tries} times (hint: check the network and its proxies; whoever owns the repository may have to upload it again)"
    )]
    Corrupt {
        /// The file.
        file: String,
        /// How often it was fetched.
        tries: u32,
    },
    /// It does not fit.
    #[error("{needed} more bytes are needed and the disk of {} has {free} to spare (hint: make room, then start the download again)", path.display())]
    DiskFull {
        /// Bytes that are still to come.
        needed: u64,
        /// Bytes that may be filled.
        free: u64,
        /// Where.
        path: PathBuf,
    },
    /// No folder of models can be written.
    #[error(
        "there is no folder that models can be written to (hint: check the model folders in the settings)"
    )]
    Nowhere,
    /// Something else has the model's place.
    #[error("{} is there already, and is not what was asked for (hint: delete that model first)", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// A link or file stands where a folder of the store should be.
    #[error("{} is no folder of the store (hint: move away what is there; links are not followed)", path.display())]
    NoFolder {
        /// What is there.
        path: PathBuf,
    },
    /// Somebody else is at it.
    #[error("another process downloads {repository} (hint: wait for it, or stop it)")]
    Busy {
        /// The repository.
        repository: String,
    },
    /// The system refused.
    #[error("cannot write {}: {error} (hint: check the disk and its permissions)", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl DownloadError {
    pub(super) fn strange(reason: String) -> Self {
        Self::Strange { reason }
    }

    pub(super) fn refused(what: &str, reason: impl Into<String>) -> Self {
        Self::Refused {
            what: what.chars().take(200).collect(),
            reason: reason.into(),
        }
    }

    /// What the system said of a path.
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self + use<'_> {
        move |error| Self::Io {
            path: path.to_owned(),
            error,
        }
    }
}

impl From<DownloadError> for Failure {
    fn from(error: DownloadError) -> Self {
        let code = match error {
            DownloadError::Folder(error) => return error.into(),
            DownloadError::NotFound { .. } => ErrorCode::ModelNotFound,
            DownloadError::Forbidden { .. } => ErrorCode::Forbidden,
            DownloadError::Corrupt { .. } => ErrorCode::ModelDamaged,
            DownloadError::NotAModel { .. } => ErrorCode::ModelUnsupported,
            DownloadError::Unreachable { .. } => ErrorCode::TimedOut,
            DownloadError::Offline
            | DownloadError::Setting { .. }
            | DownloadError::Refused { .. }
            | DownloadError::Taken { .. }
            | DownloadError::Busy { .. } => ErrorCode::InvalidRequest,
            DownloadError::Strange { .. }
            | DownloadError::Nowhere
            | DownloadError::DiskFull { .. }
            | DownloadError::NoFolder { .. }
            | DownloadError::Io { .. } => ErrorCode::Internal,
        };
        crate::catalogue::failure(code, &error)
    }
}
