//! What of a repository lies in a folder of models, as those see it who do not fetch it: members that ask for it, and whoever loads
//! a part of it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use base::HubRevision;

use super::arriving::Arriving;
use super::beacon::Beacon;
use super::listing::{HubFile, Listing};
use super::name::Repository;
use super::staging::{
    DOWNLOADS, FETCHES, FILES, MANIFEST, Manifest, ORIGIN, PARTIAL, header_in, is_file_of, read,
};

/// A folder with files of a commit: verified ones, and perhaps others that are being fetched. It is looked at without the lock,
/// so another commit's files may take their place at any time: whoever is given them holds them against their hashes.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    /// Where its files lie that are not whole, and what is locked while they are fetched.
    fetching: Option<(PathBuf, PathBuf)>,
    /// What somebody asked for when the commit was found.
    pub(super) revision: String,
    pub(super) listing: Listing,
    /// Files of which no more than the headers are wanted.
    pub(super) left_out: BTreeSet<String>,
}

/// The commit that a model's folder is of, if it was downloaded and no file of it was changed since.
pub fn origin(folder: &Path, repository: &Repository) -> Option<HubRevision> {
    let origin = folder.join(ORIGIN);
    let written = |path: &Path| fs::symlink_metadata(path).and_then(|file| file.modified());
    let last = written(&origin).ok()?;
    let manifest = read(&origin)?;
    let is_as_it_was = |file: &HubFile| {
        let path = folder.join(&file.name);
        is_file_of(&path, file.size) && written(&path).is_ok_and(|written| written <= last)
    };
    manifest
        .files
        .iter()
        .all(is_as_it_was)
        .then(|| HubRevision {
            repository: repository.to_string(),
            revision: manifest.commit,
        })
}

/// Whether a model's folder holds what a download put there, or part of it, and nothing else.
pub(super) fn is_as_downloaded(folder: &Path) -> bool {
    let Some(origin) = read(&folder.join(ORIGIN)) else {
        return false;
    };
    let known =
        |name: &OsStr| name == ORIGIN || origin.files.iter().any(|file| *name == *file.name);
    let mut entries = fs::read_dir(folder).into_iter().flatten();
    entries.all(|entry| entry.is_ok_and(|entry| known(&entry.file_name())))
}

impl Shelf {
    /// The shelves of a repository: the model in its place, and what is being fetched.
    pub(super) fn all(models: &Path, repository: &Repository) -> Vec<Self> {
        let under = |folder: &Path| folder.join(repository.owner()).join(repository.name());
        let (target, staging) = (under(models), under(&models.join(DOWNLOADS)));
        let fetching = (staging.join(PARTIAL), staging.join(FETCHES));
        let places = [
            (target.join(ORIGIN), target, None),
            (staging.join(MANIFEST), staging.join(FILES), Some(fetching)),
        ];
        let shelves = places
            .into_iter()
            .filter_map(|(manifest, folder, fetching)| {
                let Manifest {
                    revision,
                    commit,
                    files,
                    left_out,
                    ..
                } = read(&manifest)?;
                Some(Self {
                    folder,
                    fetching,
                    revision,
                    listing: Listing { commit, files },
                    left_out,
                })
            });
        shelves.collect()
    }

    /// Where its verified files lie.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is kept of a file of which no more than the header is wanted.
    pub(super) fn header(&self, file: &HubFile) -> Option<PathBuf> {
        header_in(&self.folder, file)
    }

    /// Whether it is what was fetched and is not in its place.
    pub(super) fn is_staged(&self) -> bool {
        self.fetching.is_some()
    }

    /// Whether a hub is asked for what is missing.
    pub(super) fn fetches(&self) -> bool {
        let fetching = self.fetching.as_ref();
        fetching.is_some_and(|(_, beacon)| Beacon::is_lit(beacon))
    }

    /// A file that is not whole.
    pub(super) fn arriving(&self, file: &HubFile) -> Option<Arriving> {
        Arriving::open(&self.fetching.as_ref()?.0, file)
    }

    /// Where a file is that was verified.
    pub(super) fn verified(&self, file: &HubFile) -> Option<PathBuf> {
        let path = self.folder.join(&file.name);
        is_file_of(&path, file.size).then_some(path)
    }
}
