//! Where a download lies until it is whole: `<models>/.downloads/<owner>/<name>/`, hidden from the catalogue.
//!
//! `manifest.json` says which commit and which files; `files/` holds verified files, `partial/` those that are not whole,
//! `lock` is held by whoever downloads, `fetches` while a hub is asked for more. When all files are verified, `files/` becomes the model's folder in one step; if there
//! is one of another commit, the two change places, and that one goes. A process that ends at any instant leaves a state from
//! which the next one goes on.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use base::{header_name, named_by_header};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::beacon::Beacon;
use super::disk::Disk;
use super::error::DownloadError;
use super::listing::{HubFile, Listing};
use super::name::{Repository, Wanted, plain};
use super::partial::{Partial, file_of};
use crate::{FolderError, ModelFolder, hf_cache};

/// In a folder of models: where its downloads lie.
pub(super) const DOWNLOADS: &str = ".downloads";
/// In the folder of every model that was downloaded: which commit it is.
pub(crate) const ORIGIN: &str = ".download.json";
pub(super) const MANIFEST: &str = "manifest.json";
/// Locked while somebody fetches from a hub.
pub(super) const FETCHES: &str = "fetches";
/// How the name of a manifest ends that is being written.
const NEW: &str = "new";
/// What is about to change places with the model's folder, or has.
const SWAPPED: &str = "swapped";
/// The model's old folder, where a file system cannot let two folders change places.
const ASIDE: &str = "aside";
/// Held by whoever downloads. It stays, so that nobody holds one that others do not see.
pub(super) const LOCK: &str = "lock";
pub(super) const FILES: &str = "files";
pub(super) const PARTIAL: &str = "partial";
const FOLDERS: [&str; 4] = [FILES, PARTIAL, SWAPPED, ASIDE];
/// A manifest of another version is not read: the hub is asked again.
const VERSION: u32 = 1;

/// One repository's place for a download, this process's alone. All methods block.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    files: PathBuf,
    partial: PathBuf,
    target: PathBuf,
    /// The lock is the open file's.
    _lock: File,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    pub(super) revision: String,
    pub(super) commit: String,
    pub(super) files: Vec<HubFile>,
    /// Of these no more than the headers are wanted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) left_out: BTreeSet<String>,
}

impl Staging {
    /// Takes the place of a repository under a folder of models.
    pub(super) fn open(models: &Path, repository: &Repository) -> Result<Self, DownloadError> {
        let mut folder = models.to_owned();
        for part in [DOWNLOADS, repository.owner(), repository.name()] {
            folder.push(part);
            make_folder(&folder)?;
        }
        let lock = lock(&folder.join(LOCK), repository)?;
        let (files, partial) = (folder.join(FILES), folder.join(PARTIAL));
        recover(&folder, &files)?;
        make_folder(&files)?;
        make_folder(&partial)?;
        Ok(Self {
            target: models.join(repository.owner()).join(repository.name()),
            folder,
            files,
            partial,
            _lock: lock,
        })
    }

    /// Where the model will be.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Where verified files lie.
    pub(super) fn files(&self) -> &Path {
        &self.files
    }

    /// Whether all files are verified.
    pub(super) fn is_whole(&self) -> bool {
        let manifest = read(&self.folder.join(MANIFEST));
        manifest.is_some_and(|manifest| manifest.files.iter().all(|file| self.is_verified(file)))
    }

    /// What tells others that a hub is asked for more.
    pub(super) fn beacon(&self) -> Result<Beacon, DownloadError> {
        Beacon::open(&self.folder.join(FETCHES))
    }

    /// Where bytes are written.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files that an earlier run began to fetch for the same revision. Those of the commit that is `here` it had put in their
    /// place before it ended: then the hub may have others by now.
    pub(super) fn begun(&self, wanted: &Wanted, here: Option<&str>) -> Option<Listing> {
        let manifest = read(&self.folder.join(MANIFEST))?;
        let same = [&manifest.revision, &manifest.commit].contains(&&wanted.revision);
        let goes_on = same && here != Some(&*manifest.commit);
        goes_on.then_some(Listing {
            commit: manifest.commit,
            files: manifest.files,
        })
    }

    /// The commit that is where the model belongs. Whatever else is there, or would be on a disk that ignores capitals, stays.
    pub(super) fn commit_in_place(&self) -> Result<Option<String>, DownloadError> {
        let Some(path) = self.in_place() else {
            return Ok(None);
        };
        let origin = read(&path.join(ORIGIN)).filter(|_| path == self.target);
        let origin = origin.ok_or(DownloadError::Taken { path })?;
        Ok(Some(origin.commit))
    }

    fn in_place(&self) -> Option<PathBuf> {
        let owner = self.target.parent()?;
        let owners = called(owner.parent()?, owner.file_name()?);
        let name = self.target.file_name()?;
        owners.iter().flat_map(|owner| called(owner, name)).next()
    }

    /// Keeps what is to be fetched, and of what is there the files that belong to it. Weights are left out at first unless it is
    /// to `have_all`.
    pub(super) fn begin(
        &self,
        wanted: &Wanted,
        listing: &Listing,
        have_all: bool,
    ) -> Result<(), DownloadError> {
        let path = self.folder.join(MANIFEST);
        let before = read(&path);
        let known = |file: &HubFile| {
            let before = before.as_ref();
            before.is_some_and(|before| before.files.contains(file))
        };
        let stays = |name: &str| {
            let same = |file: &&HubFile| file.name == name && known(file);
            listing.files.iter().any(|file| same(&file))
        };
        // Before the new manifest: it may not vouch for files of the old one.
        sweep(&self.files, |name| {
            stays(named_by_header(name).unwrap_or(name))
        })?;
        sweep(&self.partial, |name| stays(file_of(name)))?;
        let weights = listing
            .files
            .iter()
            .filter(|file| file.is_weights() && !have_all);
        let manifest = Manifest {
            version: VERSION,
            revision: wanted.revision.clone(),
            commit: listing.commit.clone(),
            files: listing.files.clone(),
            left_out: weights.map(|file| file.name.clone()).collect(),
        };
        write(&path, &manifest)
    }

    /// Keeps that these files are not wanted, and all others are.
    pub(super) fn leave_out(&self, names: &BTreeSet<String>) -> Result<(), DownloadError> {
        let path = self.folder.join(MANIFEST);
        let Some(manifest) = read(&path) else {
            return Ok(());
        };
        let left_out = names.clone();
        write(
            &path,
            &Manifest {
                left_out,
                ..manifest
            },
        )
    }

    /// What tells a file's header: the file itself, or what is kept of it.
    pub(super) fn header(&self, file: &HubFile) -> Option<PathBuf> {
        header_in(&self.files, file)
    }

    /// Keeps of a file its header alone, in what is as long as the file and takes no room.
    pub(super) fn keep_header(&self, file: &HubFile, header: &[u8]) -> Result<(), DownloadError> {
        let path = self.files.join(header_name(&file.name));
        if self.header(file).is_some() {
            return Ok(());
        }
        let new = path.with_extension(NEW);
        let written = fs::write(&new, header)
            .and_then(|()| File::options().write(true).open(&new)?.set_len(file.size))
            .and_then(|()| fs::rename(&new, &path));
        written.map_err(DownloadError::io(&path))
    }

    /// Takes over what is the same in the commit that is in place, once it is verified again. Files are shared, not copied; where
    /// a file system cannot do that they are fetched.
    pub(super) fn share(&self, listing: &Listing) -> Result<(), DownloadError> {
        let Some(here) = read(&self.target.join(ORIGIN)) else {
            return Ok(());
        };
        let same = here
            .files
            .iter()
            .filter(|file| listing.files.contains(file));
        for file in same.filter(|file| !self.is_verified(file)) {
            let path = self.target.join(&file.name);
            if is_of(file, &path)? {
                let _ = fs::hard_link(&path, self.files.join(&file.name));
            }
        }
        Ok(())
    }

    /// Takes over what the cache of Hugging Face's own tools has under the hashes that are wanted, once it is verified. Where files
    /// cannot be shared they are copied; what the disk has no room for is left to whoever fetches the rest.
    pub(super) fn take_from_cache(
        &self,
        listing: &Listing,
        repository: &Repository,
        cache: &Path,
        disk: &Disk,
    ) -> Result<(), DownloadError> {
        for file in listing.files.iter().filter(|file| !self.is_verified(file)) {
            let (owner, name) = (repository.owner(), repository.name());
            let Some(blob) = hf_cache::blob(cache, owner, name, file.digest.digits()) else {
                continue;
            };
            // Hidden, as no file of a listing is, so that nobody takes it for a partial one.
            let taken = self.partial.join(format!(".{}", file.name));
            remove_file(&taken)?;
            let copied = fs::hard_link(&blob, &taken).or_else(|error| {
                match disk.check(&self.folder, file.size) {
                    Ok(()) => fs::copy(&blob, &taken).map(drop),
                    Err(_) => Err(error),
                }
            });
            if copied.is_ok() && is_file_of(&taken, file.size) && is_of(file, &taken)? {
                sync(&taken)?;
                let place = self.files.join(&file.name);
                fs::rename(&taken, &place).map_err(DownloadError::io(&place))?;
            }
            remove_file(&taken)?;
        }
        Ok(())
    }

    /// Whether a file is there and verified: nothing else gets into that folder.
    pub(super) fn is_verified(&self, file: &HubFile) -> bool {
        is_file_of(&self.files.join(&file.name), file.size)
    }

    /// Opens a file that is not verified.
    pub(super) fn partial(
        &self,
        file: &HubFile,
        part_bytes: u64,
    ) -> Result<Partial, DownloadError> {
        Partial::open(&self.partial, file, part_bytes)
    }

    /// Gives a file whose hash was right its place among the verified ones.
    pub(super) fn keep(&self, file: &HubFile, partial: &Partial) -> Result<(), DownloadError> {
        partial.keep_as(&self.files.join(&file.name))
    }

    /// Bytes of a file that need not be fetched any more.
    pub(super) fn done_bytes(&self, file: &HubFile, part_bytes: u64) -> Result<u64, DownloadError> {
        if self.is_verified(file) {
            return Ok(file.size);
        }
        Ok(self.partial(file, part_bytes)?.done_bytes())
    }

    /// Puts the verified files where the model belongs, and forgets the rest. Of files that are what the hub has, and no model's,
    /// nothing is kept: a later commit may be better.
    pub(super) fn install(&self) -> Result<ModelFolder, DownloadError> {
        let mut model = match ModelFolder::check(&self.files) {
            Err(FolderError::Damaged { path, reason }) => {
                self.clear()?;
                let file = path.file_name().unwrap_or_default();
                return Err(DownloadError::refused(&file.to_string_lossy(), reason));
            }
            checked => checked?,
        };
        sweep(&self.files, |name| named_by_header(name).is_none())?;
        let manifest = self.folder.join(MANIFEST);
        let origin = self.files.join(ORIGIN);
        fs::copy(&manifest, &origin).map_err(DownloadError::io(&origin))?;
        sync(&self.files)?;
        let owner = self.target.parent().unwrap_or(&self.folder);
        make_folder(owner)?;
        let place = if self.target.is_dir() {
            self.swap()
        } else {
            fs::rename(&self.files, &self.target)
        };
        place.map_err(DownloadError::io(&self.target))?;
        sync(owner)?;
        self.clear()?;
        model.path.clone_from(&self.target);
        Ok(model)
    }

    /// Lets the verified files and the model's folder change places. Under a name of its own first: after a fall the old
    /// files must not be taken for verified ones.
    fn swap(&self) -> io::Result<()> {
        let new = self.folder.join(SWAPPED);
        fs::rename(&self.files, &new)?;
        match renameat_with(CWD, &new, CWD, &self.target, RenameFlags::EXCHANGE) {
            Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP) => {
                fs::rename(&self.target, self.folder.join(ASIDE))?;
                fs::rename(&new, &self.target)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Takes away what is in the model's place, at once under its name.
    pub(super) fn remove_target(&self) -> Result<(), DownloadError> {
        let moved = fs::rename(&self.target, self.folder.join(ASIDE));
        moved.map_err(DownloadError::io(&self.target))?;
        self.clear()
    }

    /// Forgets all that was fetched and is not in its place.
    pub(super) fn clear(&self) -> Result<(), DownloadError> {
        for folder in FOLDERS {
            remove_folder(&self.folder.join(folder))?;
        }
        let manifest = self.folder.join(MANIFEST);
        for file in [self.folder.join(FETCHES), manifest.with_extension(NEW)] {
            remove_file(&file)?;
        }
        remove_file(&manifest)
    }
}

/// Whether there is anything of a download in its place.
pub(super) fn has_begun(place: &Path) -> bool {
    let mut known = FOLDERS.into_iter().chain([MANIFEST]);
    known.any(|name| place.join(name).exists())
}

/// Whether a file is there and has the content that is wanted. Reads all of it.
fn is_of(file: &HubFile, path: &Path) -> Result<bool, DownloadError> {
    let Ok(content) = File::open(path) else {
        return Ok(false);
    };
    let fits = file.digest.fits(file.size, content);
    fits.map_err(DownloadError::io(path))
}

/// Where the header of a file is: in the file, or in what is kept of it.
pub(super) fn header_in(folder: &Path, file: &HubFile) -> Option<PathBuf> {
    let places = [file.name.clone(), header_name(&file.name)].map(|name| folder.join(name));
    places.into_iter().find(|path| is_file_of(path, file.size))
}

pub(super) fn is_file_of(path: &Path, size: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
}

/// Goes on after a process that ended while two folders changed places: if they had, the old files go; if not, the new ones
/// are the verified ones again.
fn recover(folder: &Path, files: &Path) -> Result<(), DownloadError> {
    let swapped = folder.join(SWAPPED);
    let commit = |path: PathBuf| read(&path).map(|manifest| manifest.commit);
    let wanted = commit(folder.join(MANIFEST));
    if wanted.is_some() && commit(swapped.join(ORIGIN)) == wanted && !files.exists() {
        fs::rename(&swapped, files).map_err(DownloadError::io(files))?;
    }
    remove_folder(&swapped)?;
    remove_folder(&folder.join(ASIDE))
}

fn remove_folder(folder: &Path) -> Result<(), DownloadError> {
    if folder.is_dir() {
        fs::remove_dir_all(folder).map_err(DownloadError::io(folder))?;
    }
    Ok(())
}

fn remove_file(path: &Path) -> Result<(), DownloadError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DownloadError::io(path)(error))
        }
        _ => Ok(()),
    }
}

/// The entries of a folder that have a name, whatever their capitals.
fn called(folder: &Path, name: &OsStr) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let same = entries.filter(|entry| entry.file_name().eq_ignore_ascii_case(name));
    same.map(|entry| entry.path()).collect()
}

/// Makes a folder if it is not there; one that is a link leads somewhere else and is refused. What it is to lie in is not made: the
/// disk of a folder of models may be gone.
fn make_folder(path: &Path) -> Result<(), DownloadError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(DownloadError::NoFolder {
            path: path.to_owned(),
        }),
        Err(_) => match fs::create_dir(path) {
            Err(_) if path.is_dir() => Ok(()),
            made => made.map_err(DownloadError::io(path)),
        },
    }
}

fn lock(path: &Path, repository: &Repository) -> Result<File, DownloadError> {
    let mut options = File::options();
    let options = options.create(true).truncate(false).write(true);
    let file = options.open(path).map_err(DownloadError::io(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DownloadError::Busy {
            repository: repository.to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(DownloadError::io(path)(error)),
    }
}

/// A manifest; `None` if there is none that can be read.
pub(super) fn read(path: &Path) -> Option<Manifest> {
    let manifest: Manifest = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let is_sound = |file: &HubFile| plain(&file.name).is_ok();
    let counts = manifest.version == VERSION && manifest.files.iter().all(is_sound);
    counts.then_some(manifest)
}

/// Whole or not at all.
fn write(path: &Path, manifest: &Manifest) -> Result<(), DownloadError> {
    let new = path.with_extension(NEW);
    let text = serde_json::to_vec_pretty(manifest)
        .map_err(|error| DownloadError::io(path)(error.into()))?;
    fs::write(&new, text).map_err(DownloadError::io(&new))?;
    fs::rename(&new, path).map_err(DownloadError::io(path))
}

fn sync(path: &Path) -> Result<(), DownloadError> {
    let open = File::open(path).and_then(|open| open.sync_all());
    open.map_err(DownloadError::io(path))
}

/// Removes what is in a folder and does not stay.
fn sweep(folder: &Path, stays: impl Fn(&str) -> bool) -> Result<(), DownloadError> {
    let entries = fs::read_dir(folder).map_err(DownloadError::io(folder))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(|name| name.to_str());
        if !name.is_some_and(&stays) {
            let removed = if path.is_dir() && !path.is_symlink() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.map_err(DownloadError::io(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
