//! Removing a node from its computer: which things of its data folder go and which stay, decided first, shown if somebody
//! wants to see it, and then done. Never removes what no node made, and never follows a link out of the folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::data_folder::{DataFolder, DataFolderError, LOCK};

/// What every node keeps, and what it leaves when its computer loses power while it writes.
const OWN: [&str; 13] = [
    "settings.toml",
    "settings.new",
    "roster",
    "roster.new",
    "session",
    "downloads.toml",
    "downloads.new",
    "recent-models",
    "recent-models.new",
    "api_keys.toml",
    "api_keys.new",
    "node.key",
    "hub.token",
];
const CONVERSATIONS: &str = "conversations";
/// Words and settings under names of their own, without weights: they mean nothing without the node.
const DERIVED: &str = "derived-models";
const CACHES: [&str; 3] = ["logs", "run", "prefixes"];
const MODELS: &str = "models";

/// What goes besides what always goes: settings, membership, keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Besides {
    /// What was said with models.
    pub conversations: bool,
    /// Logs, beginnings of prompts, and what means nothing once a node has ended.
    pub caches: bool,
    /// The models, which may be hundreds of gigabytes to download again.
    pub models: bool,
}

/// What a thing is, links not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Link,
    Other,
}

/// What becomes of a thing in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is removed.
    Goes,
    /// It stays, because nobody asked for its removal: this would.
    NotAsked(&'static str),
    /// It stays, because no node made it.
    Unknown,
}

/// A thing in the folder, by its name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub fate: Fate,
    kind: Kind,
}

/// Why nothing can be removed.
#[derive(Debug, Error)]
pub enum UninstallError {
    /// Its node would write it anew.
    #[error("a node runs in {} (hint: end it first: Ctrl-C, or \"Quit Espalier\" in its menu)", .0.display())]
    Running(PathBuf),
    /// The folder can't be taken.
    #[error(transparent)]
    Folder(DataFolderError),
    /// Somebody else's folder may have things of the same names.
    #[error("no node has ever run in {} (hint: name its folder with --data DIR)", .0.display())]
    NotANode(PathBuf),
    /// The folder can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A removal that is decided and not done. No node can start in the folder as long as it lives.
#[derive(Debug)]
pub struct Uninstall {
    data: PathBuf,
    things: Vec<Thing>,
    _lock: DataFolder,
}

/// What could not be removed, and why. Empty if all went well.
pub type Mishaps = Vec<String>;

impl Uninstall {
    /// Looks at what there is and decides. Nothing is removed yet.
    pub fn prepare(data: &Path, besides: Besides) -> Result<Self, UninstallError> {
        let lock = fs::symlink_metadata(data.join(LOCK));
        if !lock.is_ok_and(|lock| lock.is_file() && lock.len() == 0) {
            return Err(UninstallError::NotANode(data.to_owned()));
        }
        let lock = DataFolder::lock(data).map_err(|error| match error {
            DataFolderError::InUse { path } => UninstallError::Running(path),
            error @ DataFolderError::Io { .. } => UninstallError::Folder(error),
        })?;
        let found = found_in(data).map_err(|source| UninstallError::Read {
            path: data.to_owned(),
            source,
        })?;
        Ok(Self {
            data: data.to_owned(),
            things: decide(found, besides),
            _lock: lock,
        })
    }

    /// Everything in the folder and what becomes of it, by name.
    pub fn things(&self) -> &[Thing] {
        &self.things
    }

    /// Does it, as far as it goes, and removes the folder itself if nothing is left in it.
    pub fn carry_out(self) -> Mishaps {
        let mut mishaps = Mishaps::new();
        // The lock is the last of them: while it is there, a further attempt is possible.
        let (locks, others): (Vec<_>, Vec<_>) = self
            .things
            .iter()
            .filter(|thing| thing.fate == Fate::Goes)
            .partition(|thing| thing.name == LOCK);
        for thing in others {
            self.remove(thing, &mut mishaps);
        }
        mishaps.extend(forget_key(&self.data).err());
        if mishaps.is_empty() {
            for lock in locks {
                self.remove(lock, &mut mishaps);
            }
        }
        // Refused where something is left, which is what is wanted.
        let _ = fs::remove_dir(&self.data);
        mishaps
    }

    fn remove(&self, thing: &Thing, mishaps: &mut Mishaps) {
        let path = self.data.join(&thing.name);
        let removed = match thing.kind {
            // Links in it are removed and not followed.
            Kind::Folder => fs::remove_dir_all(&path),
            Kind::File | Kind::Link | Kind::Other => fs::remove_file(&path),
        };
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            mishaps.push(format!("{}: {error}", path.display()));
        }
    }
}

fn found_in(data: &Path) -> io::Result<Vec<(String, Kind)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let kind = match (kind.is_file(), kind.is_dir(), kind.is_symlink()) {
            (true, _, _) => Kind::File,
            (_, true, _) => Kind::Folder,
            (_, _, true) => Kind::Link,
            (false, false, false) => Kind::Other,
        };
        // A name that is no text is no node's, and stays under whatever it is shown as.
        found.push((entry.file_name().to_string_lossy().into_owned(), kind));
    }
    Ok(found)
}

/// Pure. The lock stays with anything else of the node's: it shows whose folder this is.
fn decide(mut found: Vec<(String, Kind)>, besides: Besides) -> Vec<Thing> {
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut things: Vec<Thing> = found
        .into_iter()
        .map(|(name, kind)| Thing {
            fate: fate(&name, kind, besides),
            name,
            kind,
        })
        .collect();
    let kept = things
        .iter()
        .find(|thing| matches!(thing.fate, Fate::NotAsked(_)));
    if let Some(fate) = kept.map(|thing| thing.fate) {
        for lock in things.iter_mut().filter(|thing| thing.name == LOCK) {
            lock.fate = fate;
        }
    }
    things
}

fn fate(name: &str, kind: Kind, besides: Besides) -> Fate {
    let asked = |asked: bool, option| {
        if asked {
            Fate::Goes
        } else {
            Fate::NotAsked(option)
        }
    };
    match kind {
        Kind::File | Kind::Link if name == LOCK || OWN.contains(&name) => Fate::Goes,
        Kind::Folder | Kind::Link if name == DERIVED => Fate::Goes,
        Kind::Folder | Kind::Link if name == CONVERSATIONS => {
            asked(besides.conversations, "--conversations")
        }
        Kind::Folder | Kind::Link if CACHES.contains(&name) => asked(besides.caches, "--caches"),
        Kind::Folder | Kind::Link if name == MODELS => asked(besides.models, "--models"),
        Kind::File | Kind::Folder | Kind::Link | Kind::Other => Fate::Unknown,
    }
}

/// The key and the token that are not in the folder.
#[cfg(target_os = "macos")]
fn forget_key(data: &Path) -> Result<(), String> {
    crate::hub_token::forget(data).map_err(|error| error.to_string())?;
    let key = net::identity::KeychainKeyStore::new(
        crate::config::KEYCHAIN_SERVICE,
        &data.to_string_lossy(),
    );
    key.and_then(|key| key.remove())
        .map_err(|error| error.to_string())
}

/// They are files of the folder.
#[cfg(not(target_os = "macos"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the keychain of the other platform can refuse"
)]
fn forget_key(_data: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests;
