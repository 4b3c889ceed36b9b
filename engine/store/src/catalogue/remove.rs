//! Removing models: derived ones, and folders that lie where the node may change something.

use std::path::{Path, PathBuf};

use base::{ErrorCode, Failure};

use super::{Catalogue, Entry, entry};
use crate::download::{DownloadError, Unfinished};
use crate::{DerivedError, Place, PlaceKind, SPROUT};

/// How the name of a folder begins whose model is removed and whose files are about to be.
pub(crate) const DELETED: &str = ".deleted-";

/// Why a model is not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// Nothing has that name.
    #[error("there is no model {name:?} here")]
    Unknown {
        /// The name.
        name: String,
    },
    /// It would be there again at the next start.
    #[error("{SPROUT} comes with this program and cannot be deleted")]
    Sprout,
    /// Other programs may use it.
    #[error(
        "{name} lies in {}, a folder of yours that this node only reads (hint: delete it there, or take the folder out of the settings)",
        path.display()
    )]
    NotOurs {
        /// The model.
        name: String,
        /// Its folder.
        path: PathBuf,
    },
    /// Another program put it there, and may use it.
    #[error(
        "{name} lies in {}, in the cache of Hugging Face's own tools, and is not deleted from here (hint: delete it with `hf cache`)",
        path.display()
    )]
    Cached {
        /// The model.
        name: String,
        /// Its folder.
        path: PathBuf,
    },
    /// It is one of the derived ones, or one of them needs it.
    #[error(transparent)]
    Derived(#[from] DerivedError),
    /// A part of it, that cannot be deleted now.
    #[error(transparent)]
    Part(#[from] DownloadError),
    /// The system refused.
    #[error("cannot delete {}: {error} (hint: check its permissions)", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

impl Catalogue {
    /// Removes the model of a name.
    pub fn remove(&self, name: &str) -> Result<(), RemoveError> {
        let entries = self.entries();
        if let Some(entry) = entry(&entries, name) {
            return self.remove_folder(entry);
        }
        if self.derived.remove(name)? {
            return Ok(());
        }
        let name = name.chars().take(200).collect();
        Err(RemoveError::Unknown { name })
    }

    /// Whether [`Catalogue::remove`] would remove the files of a model, or why it would not.
    pub fn may_remove(&self, name: &str) -> Result<bool, RemoveError> {
        match entry(&self.entries(), name) {
            Some(entry) => self.check(entry).map(|_| true),
            None => Ok(false),
        }
    }

    /// The place in which it may be removed.
    fn check<'a>(&self, entry: &'a Entry) -> Result<&'a Place, RemoveError> {
        let (name, path) = (entry.name.clone(), entry.path.clone());
        if name == SPROUT {
            return Err(RemoveError::Sprout);
        }
        let place = match &entry.place {
            Some(place) if place.kind.may_change() => place,
            Some(place) if place.kind == PlaceKind::HuggingFaceCache => {
                return Err(RemoveError::Cached { name, path });
            }
            _ => return Err(RemoveError::NotOurs { name, path }),
        };
        let same = |base: &str| base.to_lowercase() == name.to_lowercase();
        let mut derived = self.derived.list().into_iter();
        match derived.find(|derived| same(&derived.model.base)) {
            Some(by) => Err(RemoveError::Derived(DerivedError::Needed {
                name: name.clone(),
                by: by.name,
            })),
            None => Ok(place),
        }
    }

    /// Gone under its name at once, so that nobody loads half of it; then its files.
    fn remove_folder(&self, entry: &Entry) -> Result<(), RemoveError> {
        let place = &self.check(entry)?.path;
        let path = &entry.path;
        if entry.part.is_some() {
            return Ok(Unfinished::discard(place, &entry.name)?);
        }
        let failed = |error| RemoveError::Io {
            path: path.clone(),
            error,
        };
        let link = std::fs::symlink_metadata(path).map_err(failed)?;
        if link.is_symlink() {
            // What it leads to is somebody else's.
            return std::fs::remove_file(path).map_err(failed);
        }
        let mut hidden = std::ffi::OsString::from(DELETED);
        hidden.push(path.file_name().unwrap_or_default());
        let hidden = place.join(hidden);
        // Left over from a removal that was cut short.
        let _ = std::fs::remove_dir_all(&hidden);
        std::fs::rename(path, &hidden).map_err(failed)?;
        if let Some(owner) = path.parent().filter(|owner| owner != place) {
            // Refused where other models are left in it, which is what is wanted.
            let _ = std::fs::remove_dir(owner);
        }
        std::fs::remove_dir_all(&hidden).map_err(failed)
    }
}

/// Ends the removals under a folder of models that were cut short. What cannot be taken away now may be at the next start.
pub(super) fn end_removals(models: &Path) {
    let entries = std::fs::read_dir(models).into_iter().flatten().flatten();
    let left = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(DELETED));
    left.for_each(|entry| drop(std::fs::remove_dir_all(entry.path())));
}

impl From<RemoveError> for Failure {
    fn from(error: RemoveError) -> Self {
        let code = match error {
            RemoveError::Derived(error) => return error.into(),
            RemoveError::Part(error) => return error.into(),
            RemoveError::Unknown { .. } => ErrorCode::ModelNotFound,
            RemoveError::Sprout | RemoveError::NotOurs { .. } | RemoveError::Cached { .. } => {
                ErrorCode::InvalidRequest
            }
            RemoveError::Io { .. } => ErrorCode::Internal,
        };
        super::failure(code, &error)
    }
}
