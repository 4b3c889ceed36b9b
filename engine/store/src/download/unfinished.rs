//! Downloads that have begun in a folder of models, and models that are not whole, as whoever tidies up finds them.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base::named_by_header;

use super::error::DownloadError;
use super::name::{Repository, Wanted};
use super::shelf;
use super::staging::{self, DOWNLOADS, Staging};
use crate::{FolderError, ModelFolder};

/// Deeper than anything that downloads make.
const DEPTH_MAX: usize = 4;

/// What files take of a disk, and when one of them was last changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) bytes: u64,
    pub(crate) changed: Option<SystemTime>,
}

impl Left {
    /// Of a folder and its folders. Links count as the files that they lead to; links to folders are not followed.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let mut left = Self::default();
        left.add(folder, DEPTH_MAX);
        left
    }

    fn add(&mut self, folder: &Path, depth: usize) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && depth > 0 {
                self.add(&entry.path(), depth - 1);
            } else if let Ok(file) = fs::metadata(entry.path())
                && file.is_file()
                && !takes_no_room(&entry.file_name())
            {
                self.bytes += file.len();
                self.changed = self.changed.max(file.modified().ok());
            }
        }
    }
}

/// What stands for a file that is not there is as long as that.
fn takes_no_room(name: &OsStr) -> bool {
    name.to_str().and_then(named_by_header).is_some()
}

/// What a download has left in its place.
#[derive(Debug)]
pub(crate) struct Unfinished {
    /// `owner/name`.
    pub(crate) repository: String,
    /// Its place.
    pub(crate) folder: PathBuf,
}

impl Unfinished {
    /// All of a folder of models. A place with nothing but a lock is not one of them.
    pub(crate) fn all_in(models: &Path) -> Vec<Self> {
        let mut found = Vec::new();
        for owner in folders(&models.join(DOWNLOADS)) {
            for folder in folders(&owner) {
                let names = [owner.file_name(), folder.file_name()].map(|name| name?.to_str());
                if let [Some(owner), Some(name)] = names
                    && staging::has_begun(&folder)
                {
                    let repository = format!("{owner}/{name}");
                    found.push(Self { repository, folder });
                }
            }
        }
        found
    }

    /// Whether a process is at it.
    pub(crate) fn is_locked(&self) -> bool {
        let lock = File::open(self.folder.join(staging::LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    pub(crate) fn left(&self) -> Left {
        Left::in_folder(&self.folder)
    }

    /// Forgets one that no process is at.
    pub(crate) fn discard(models: &Path, repository: &str) -> Result<(), DownloadError> {
        Staging::open(models, &parse(repository)?)?.clear()
    }
}

/// Whether what is in a model's folder was downloaded, and nothing else is in it.
pub(crate) fn is_as_downloaded(models: &Path, name: &str) -> bool {
    parse(name).is_ok() && shelf::is_as_downloaded(&models.join(name))
}

/// Removes a model that was downloaded and is not whole any more, if that is so and nobody downloads it.
pub(crate) fn remove_damaged(models: &Path, name: &str) -> Result<(), DownloadError> {
    let staging = Staging::open(models, &parse(name)?)?;
    match ModelFolder::check(staging.target()) {
        Err(FolderError::Missing { .. } | FolderError::Damaged { .. })
            if shelf::is_as_downloaded(staging.target()) =>
        {
            staging.remove_target()
        }
        _ => Err(DownloadError::Taken {
            path: staging.target().to_owned(),
        }),
    }
}

fn parse(repository: &str) -> Result<Repository, DownloadError> {
    let wanted = Wanted::parse(repository);
    wanted
        .map(|wanted| wanted.repository)
        .map_err(|error| DownloadError::strange(error.to_string()))
}

/// The folders in a folder, by name; links are none.
fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
    folders.sort_unstable();
    folders
}
