//! What is left over in folders of models: what is found there, and what may go of it, which is decided purely.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Begun, Usage};
use crate::catalogue::{DELETED, Entry};
use crate::download::{self, Left, Unfinished};
use crate::{FolderError, Place, PlaceKind};

/// In a folder that other nodes may use too, a download that nobody has touched for so long is one that nobody goes on with.
const ABANDONED_AFTER: Duration = Duration::from_hours(7 * 24);

/// Something that nobody needs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where it is.
    pub path: PathBuf,
    /// The folder of models in which it lies.
    pub place: PathBuf,
    /// What it takes of the disk.
    pub bytes: u64,
    /// What it is.
    pub remains: Remains,
    /// Whether it may be removed.
    pub fate: Fate,
}

/// What something is that is left over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remains {
    /// What a download of a repository, `owner/name`, has fetched, with what it was about to put in the place of an older commit.
    Download(String),
    /// A model whose deletion was cut short.
    Deletion,
    /// A folder that looks like a model's and is not whole.
    Model {
        /// What would be its name.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// Whether a download has put it there, and nobody anything else.
        is_downloaded: bool,
    },
}

/// What becomes of it when somebody cleans up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is removed.
    Goes,
    /// It stays: why.
    Stays(&'static str),
}

/// What is known of something besides what it is.
#[derive(Debug, Clone, Copy)]
struct Circumstances {
    kind: PlaceKind,
    /// Since something of it was last changed.
    age: Duration,
    /// Whether somebody downloads the model.
    is_fetched: bool,
}

/// Pure. Only what nodes made goes, and only if no node can still want it.
fn fate(remains: &Remains, circumstances: Circumstances) -> Fate {
    let Circumstances {
        kind,
        age,
        is_fetched,
    } = circumstances;
    match remains {
        _ if !kind.may_change() => Fate::Stays("nothing is deleted in its folder"),
        Remains::Deletion => Fate::Goes,
        _ if is_fetched => Fate::Stays("it is being downloaded"),
        Remains::Download(_) if kind != PlaceKind::Own && age < ABANDONED_AFTER => {
            Fate::Stays("another node may go on with it: it was changed within the last seven days")
        }
        Remains::Model {
            is_downloaded: false,
            ..
        } => Fate::Stays("it was not downloaded by a node, so it is yours to delete"),
        Remains::Download(_) | Remains::Model { .. } => Fate::Goes,
    }
}

/// Adds what is not a whole model in a place.
pub(super) fn add(usage: &mut Usage, place: &Place, listed: &BTreeSet<String>, now: SystemTime) {
    let parts = download::parts_in(&place.path);
    let is_part = |one: &Unfinished| {
        let mut parts = parts.iter();
        parts.any(|part| part.origin.repository == one.repository)
    };
    let mut downloads = Unfinished::all_in(&place.path);
    // What can be opened is no leftover.
    downloads.retain(|one| listed.contains(&one.repository) || !is_part(one));
    let is_fetched = |name: &str| {
        let busy = |one: &Unfinished| one.repository == name && one.is_locked();
        listed.contains(name) || downloads.iter().any(busy)
    };
    let mut found: Vec<(PathBuf, Left, Remains)> = deletions(&place.path);
    found.extend(damaged_models(place));
    for download in &downloads {
        let (repository, left) = (download.repository.clone(), download.left());
        if is_fetched(&repository) {
            usage.begun.push(Begun {
                repository,
                place: place.path.clone(),
                bytes: left.bytes,
            });
        } else {
            found.push((download.folder.clone(), left, Remains::Download(repository)));
        }
    }
    found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let leftovers = found.into_iter().map(|(path, left, remains)| {
        let since = left.changed.and_then(|then| now.duration_since(then).ok());
        let circumstances = Circumstances {
            kind: place.kind,
            age: since.unwrap_or_default(),
            is_fetched: matches!(&remains, Remains::Model { name, .. } if is_fetched(name)),
        };
        Leftover {
            fate: fate(&remains, circumstances),
            place: place.path.clone(),
            bytes: left.bytes,
            path,
            remains,
        }
    });
    usage.leftovers.extend(leftovers);
}

fn deletions(place: &Path) -> Vec<(PathBuf, Left, Remains)> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let hidden = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(DELETED));
    let found = hidden.map(|entry| {
        let path = entry.path();
        let left = Left::in_folder(&path);
        (path, left, Remains::Deletion)
    });
    found.collect()
}

/// Folders with a model's configuration or weights that are no whole models. One that only cannot be read is not said to be damaged.
fn damaged_models(place: &Place) -> Vec<(PathBuf, Left, Remains)> {
    let damaged = Entry::all_like(place).into_iter().filter_map(|entry| {
        let reason = match entry.model() {
            Err(FolderError::Missing { file, .. }) => format!("it has no {file}"),
            Err(FolderError::Damaged { path, reason }) => {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                format!("{file} is damaged: {reason}")
            }
            Ok(_) | Err(FolderError::Read { .. }) => return None,
        };
        let left = Left::in_folder(&entry.path);
        let remains = Remains::Model {
            is_downloaded: download::is_as_downloaded(&place.path, &entry.name),
            name: entry.name,
            reason,
        };
        Some((entry.path, left, remains))
    });
    damaged.collect()
}

impl Leftover {
    /// Removes it; why not, in words. Whoever has begun to use it meanwhile keeps it.
    pub(super) fn remove(&self) -> Result<(), String> {
        let removed = match &self.remains {
            Remains::Download(repository) => Unfinished::discard(&self.place, repository),
            Remains::Model { name, .. } => download::remove_damaged(&self.place, name),
            Remains::Deletion => {
                return fs::remove_dir_all(&self.path).map_err(|error| error.to_string());
            }
        };
        removed.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(remains: &Remains, kind: PlaceKind, days: u64, is_fetched: bool) -> Fate {
        let age = Duration::from_hours(24 * days);
        fate(
            remains,
            Circumstances {
                kind,
                age,
                is_fetched,
            },
        )
    }

    #[test]
    fn only_what_no_node_can_want_any_more_goes() {
        use PlaceKind::{HuggingFaceCache, Own, ReadOnly, Writable};
        let model = |is_downloaded| Remains::Model {
            name: "a/m".to_owned(),
            reason: "it has no config.json".to_owned(),
            is_downloaded,
        };
        let download = Remains::Download("a/m".to_owned());
        for (goes, remains, kind, days, is_fetched) in [
            (true, &download, Own, 0, false),
            (false, &download, Writable, 6, false),
            (true, &download, Writable, 7, false),
            (false, &download, Own, 99, true),
            (true, &Remains::Deletion, Own, 0, false),
            (true, &Remains::Deletion, Writable, 0, false),
            (true, &model(true), Own, 0, false),
            (true, &model(true), Writable, 0, false),
            (false, &model(true), Own, 0, true),
            (false, &model(false), Own, 99, false),
            (false, &model(true), ReadOnly, 99, false),
            (false, &Remains::Deletion, ReadOnly, 99, false),
            (false, &download, HuggingFaceCache, 99, false),
        ] {
            let fate = decide(remains, kind, days, is_fetched);
            assert_eq!(
                fate == Fate::Goes,
                goes,
                "{remains:?} {kind:?} {days} {is_fetched}"
            );
        }
    }
}
