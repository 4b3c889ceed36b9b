//! What models take of this node's disks: what the store finds, with what only the node knows: what is open, what was open
//! when, and what is downloaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use base::Failure;
use serve::disk::{self, DiskUsage, Held, Room};
use store::{Candidate, Fate, HeldModel, PlaceKind, Remains, Usage, make_room};
use tokio::sync::watch;

use crate::cluster_actor::ClusterHandle;
use crate::models::{LocalModels, is_open};
use crate::recent_models::{RecentModels, Used};

/// Models that are named to somebody who needs room: nobody reads more.
const NAMED_MAX: usize = 5;

/// The disks of this node. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Disks {
    pub(crate) models: LocalModels,
    pub(crate) cluster: ClusterHandle,
    used: watch::Receiver<Vec<Used>>,
}

impl Disks {
    pub(crate) fn of(models: &LocalModels, cluster: &ClusterHandle, recent: &RecentModels) -> Self {
        Self {
            models: models.clone(),
            cluster: cluster.clone(),
            used: recent.used(),
        }
    }

    /// Everything there is. `listed` are the downloads, `owner/name`, that go on.
    pub(crate) async fn usage(&self, listed: BTreeSet<String>) -> Result<DiskUsage, Failure> {
        let usage = self.models.usage(listed).await?;
        let models = self.held(&usage);
        Ok(DiskUsage {
            folders: usage.places.into_iter().map(folder).collect(),
            models: models.into_iter().map(|(held, _)| held).collect(),
            downloads: usage
                .begun
                .into_iter()
                .map(|begun| disk::Begun {
                    model: begun.repository,
                    folder: begun.place,
                    bytes: begun.bytes,
                })
                .collect(),
            leftovers: usage.leftovers.into_iter().map(leftover).collect(),
        })
    }

    /// Which models to delete for so many bytes, in one folder or in any. Those that are `listed` are about to be replaced.
    pub(crate) async fn room(
        &self,
        bytes: u64,
        folder: Option<&Path>,
        listed: BTreeSet<String>,
    ) -> Result<Room, Failure> {
        let mut models = self.held(&self.models.usage(listed.clone()).await?);
        models.retain(|(held, _)| {
            let is_there = folder.is_none_or(|folder| held.folder == folder);
            held.may_delete && is_there && !listed.contains(&held.model)
        });
        let candidates = models.iter().map(|(held, came)| Candidate {
            bytes: held.bytes,
            last_used_unix_seconds: held.last_used_unix_seconds.unwrap_or(0).max(*came),
        });
        let room = make_room(&candidates.collect::<Vec<_>>(), bytes);
        let chosen = room.chosen.iter().map(|&index| models[index].0.clone());
        Ok(Room {
            models: chosen.collect(),
            bytes: room.bytes,
            is_enough: room.is_enough,
        })
    }

    /// What somebody could do who needs so many bytes in a folder, in words.
    pub(crate) async fn hint(&self, bytes: u64, folder: &Path, model: &str) -> Option<String> {
        let listed = BTreeSet::from([model.to_owned()]);
        let room = self.room(bytes, Some(folder), listed).await.ok()?;
        in_words(&room)
    }

    /// Removes those of what is left over that are at these paths, as far as they may go.
    pub(crate) async fn clean(
        &self,
        paths: BTreeSet<PathBuf>,
        listed: BTreeSet<String>,
    ) -> Result<Vec<disk::Leftover>, Failure> {
        let cleaned = self.models.clean(paths, listed).await?.into_iter();
        let cleaned = cleaned.map(|(left, outcome)| disk::Leftover {
            stays: outcome.err(),
            ..leftover(left)
        });
        Ok(cleaned.collect())
    }

    /// The models, and of each when it came, in seconds since 1970.
    fn held(&self, usage: &Usage) -> Vec<(Held, u64)> {
        let view = self.cluster.view();
        let used = self.used.borrow();
        let times: BTreeMap<&str, u64> = used
            .iter()
            .filter(|used| used.unix_seconds > 0)
            .map(|used| (used.model.0.as_str(), used.unix_seconds))
            .collect();
        let held = usage.models.iter().map(|model| {
            let is_open = is_open(&view, model.fingerprint);
            let held = Held {
                model: model.name.clone(),
                path: model.path.clone(),
                folder: model.place.clone(),
                bytes: model.bytes,
                last_used_unix_seconds: times.get(model.name.as_str()).copied(),
                is_open,
                may_delete: model.may_delete && !is_open,
            };
            (held, came(model))
        });
        held.collect()
    }
}

fn came(model: &HeldModel) -> u64 {
    let since = model
        .changed
        .and_then(|then| then.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

/// Pure. `None` if nothing would help.
fn in_words(room: &Room) -> Option<String> {
    let names = room.models.iter().map(|held| held.model.as_str());
    let mut names: Vec<&str> = names.take(NAMED_MAX).collect();
    if names.is_empty() || !room.is_enough {
        return None;
    }
    let more = room.models.len() - names.len();
    let others = format!("{more} more");
    if more > 0 {
        names.push(&others);
    }
    let names = match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => return None,
    };
    Some(format!(
        "deleting {names} would make room, {} that nobody used for the longest time; then start the download again",
        if room.models.len() == 1 {
            "the model"
        } else {
            "the models"
        }
    ))
}

fn folder(place: store::PlaceUsage) -> disk::Folder {
    disk::Folder {
        path: place.path,
        kind: match place.kind {
            PlaceKind::Own => disk::FolderKind::Own,
            PlaceKind::Writable => disk::FolderKind::Writable,
            PlaceKind::ReadOnly => disk::FolderKind::ReadOnly,
            PlaceKind::HuggingFaceCache => disk::FolderKind::HuggingFaceCache,
        },
        available: place.is_there,
        free_bytes: place.free_bytes,
    }
}

fn leftover(leftover: store::Leftover) -> disk::Leftover {
    disk::Leftover {
        path: leftover.path,
        bytes: leftover.bytes,
        what: match leftover.remains {
            Remains::Download(repository) => {
                format!("what was fetched of {repository}, and nobody goes on with")
            }
            Remains::Deletion => "a deletion that was cut short".to_owned(),
            Remains::Model { name, reason, .. } => format!("{name} is not whole: {reason}"),
        },
        stays: match leftover.fate {
            Fate::Goes => None,
            Fate::Stays(why) => Some(why.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_delete_is_told_in_a_sentence() {
        let room = |count: usize, is_enough| Room {
            models: (1..=count).map(named).collect(),
            bytes: 5,
            is_enough,
        };
        assert_eq!(in_words(&room(0, true)), None);
        assert_eq!(in_words(&room(2, false)), None);
        let said = |count| in_words(&room(count, true)).unwrap();
        assert!(said(1).starts_with("deleting a/1 would make room, the model"));
        assert!(said(3).starts_with("deleting a/1, a/2 and a/3 would"));
        let many = said(7);
        assert!(many.contains("a/5 and 2 more would"), "{many}");
    }

    fn named(number: usize) -> Held {
        Held {
            model: format!("a/{number}"),
            path: PathBuf::new(),
            folder: PathBuf::new(),
            bytes: 1,
            last_used_unix_seconds: None,
            is_open: false,
            may_delete: true,
        }
    }
}
