//! Which of several folders a download goes to. What is there is looked up; what follows from it is pure.

use std::path::{Path, PathBuf};

use super::client::Client;
use super::error::DownloadError;
use super::fetch::listing;
use super::members::Mirror;
use super::name::{Repository, Wanted};
use super::progress::Progress;
use super::staging::{self, DOWNLOADS};
use super::{Hub, Limits, blocking};

/// A folder that a download may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    folder: PathBuf,
    holds: Holds,
    /// Bytes that may be filled.
    room_bytes: u64,
}

/// What a folder has of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nothing,
    /// A download that has begun.
    Begun,
    /// A commit of it.
    Model,
}

/// Where a download goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice<'a> {
    Folder(&'a Path),
    /// That depends on its size.
    BySize,
    /// There is no folder.
    Nowhere,
}

/// The folder to which a repository is fetched: where a commit of it lies already, else where a download of it has begun, else the
/// first of `folders` that has room for it. If none has, the one with the most. Of folders that are not there, or that cannot be
/// written, nothing is known. A hub is asked only if the size matters.
pub async fn destination(
    wanted: &Wanted,
    folders: Vec<PathBuf>,
    hub: &Hub,
    limits: &Limits,
    progress: &Progress,
) -> Result<PathBuf, DownloadError> {
    let (repository, disk) = (wanted.repository.clone(), limits.disk.clone());
    let candidates = blocking(move || {
        let there = folders.into_iter().filter(|folder| is_there(folder));
        let candidates = there.map(|folder| Candidate {
            holds: held(&folder, &repository),
            room_bytes: disk.room(&folder).unwrap_or(0),
            folder,
        });
        Ok(candidates.collect::<Vec<_>>())
    });
    let candidates = candidates.await?;
    let chosen = match choose(&candidates, None) {
        Choice::BySize => {
            let bytes = size(wanted, hub, limits, progress).await?;
            choose(&candidates, Some(bytes))
        }
        chosen => chosen,
    };
    match chosen {
        Choice::Folder(folder) => Ok(folder.to_owned()),
        Choice::BySize | Choice::Nowhere => Err(DownloadError::Nowhere),
    }
}

/// Whether a folder of models is there, and can be written.
pub fn is_there(folder: &Path) -> bool {
    folder.is_dir() && rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Whether a folder is the one to which a download has gone before: what is left of a disk that is not connected may be an empty
/// folder of the same name.
pub fn has_begun_in(folder: &Path) -> bool {
    is_there(folder) && folder.join(DOWNLOADS).is_dir()
}

fn held(folder: &Path, repository: &Repository) -> Holds {
    let under = |folder: &Path| folder.join(repository.owner()).join(repository.name());
    if under(folder).is_dir() {
        Holds::Model
    } else if staging::has_begun(&under(&folder.join(DOWNLOADS))) {
        Holds::Begun
    } else {
        Holds::Nothing
    }
}

/// Pure. `bytes` are those of the repository, once they are known.
fn choose(candidates: &[Candidate], bytes: Option<u64>) -> Choice<'_> {
    let with = |holds| candidates.iter().find(|one| one.holds == holds);
    let holder = with(Holds::Model).or_else(|| with(Holds::Begun));
    if let Some(one) = holder {
        return Choice::Folder(&one.folder);
    }
    match (candidates, bytes) {
        ([], _) => Choice::Nowhere,
        ([one], _) => Choice::Folder(&one.folder),
        (_, None) => Choice::BySize,
        (several, Some(bytes)) => {
            let first = several.iter().find(|one| one.room_bytes >= bytes);
            let roomiest = || several.iter().max_by_key(|one| one.room_bytes);
            let chosen = first.or_else(roomiest);
            chosen.map_or(Choice::Nowhere, |one| Choice::Folder(&one.folder))
        }
    }
}

/// Bytes of all files of a repository.
async fn size(
    wanted: &Wanted,
    hub: &Hub,
    limits: &Limits,
    progress: &Progress,
) -> Result<u64, DownloadError> {
    let client = Client::of(hub, limits)?;
    let mirror = Mirror::new(limits.members.as_deref(), wanted);
    let listing = listing(client.as_ref(), &mirror, wanted, limits, progress).await?;
    Ok(listing.files.iter().map(|file| file.size).sum())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn chosen(candidates: &[(&str, Holds, u64)], bytes: Option<u64>) -> String {
        let candidate = |&(folder, holds, room_bytes): &(&str, Holds, u64)| Candidate {
            folder: folder.into(),
            holds,
            room_bytes,
        };
        let candidates: Vec<_> = candidates.iter().map(candidate).collect();
        match choose(&candidates, bytes) {
            Choice::Folder(folder) => folder.display().to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn where_the_model_lies_counts_before_where_it_has_begun_and_that_before_room() {
        use Holds::{Begun, Model, Nothing};
        let all = [("/a", Nothing, 100), ("/b", Begun, 0), ("/c", Model, 0)];
        assert_eq!(chosen(&all, None), "/c");
        assert_eq!(chosen(&all[..2], None), "/b");
        assert_eq!(chosen(&all[..1], None), "/a", "no need to ask for the size");
        assert_eq!(chosen(&[], None), "Nowhere");
    }

    #[test]
    fn the_first_with_room_is_taken_or_else_the_one_with_the_most() {
        let some = ["/a", "/b", "/c"].map(|folder| (folder, Holds::Nothing));
        let with_room = |room: [u64; 3]| {
            let all = [0, 1, 2].map(|one| (some[one].0, some[one].1, room[one]));
            chosen(&all, Some(50))
        };
        assert_eq!(
            chosen(
                &[("/a", Holds::Nothing, 9), ("/b", Holds::Nothing, 9)],
                None
            ),
            "BySize"
        );
        assert_eq!(with_room([50, 90, 60]), "/a");
        assert_eq!(with_room([49, 50, 90]), "/b");
        assert_eq!(with_room([10, 20, 15]), "/b");
    }

    #[test]
    fn what_a_folder_holds_is_seen() {
        let models = tempfile::tempdir().unwrap();
        let wanted = Wanted::parse("ada/m").unwrap();
        let held = || held(models.path(), &wanted.repository);
        assert_eq!(held(), Holds::Nothing);
        assert!(is_there(models.path()) && !has_begun_in(models.path()));
        let staging = models.path().join(".downloads/ada/m");
        fs::create_dir_all(&staging).unwrap();
        fs::write(staging.join("lock"), "").unwrap();
        assert!(has_begun_in(models.path()));
        assert_eq!(held(), Holds::Nothing, "that one is over");
        fs::write(staging.join("manifest.json"), "").unwrap();
        assert_eq!(held(), Holds::Begun);
        fs::create_dir_all(models.path().join("ada/m")).unwrap();
        assert_eq!(held(), Holds::Model);
        assert!(!is_there(Path::new("/not/there")));
    }
}
