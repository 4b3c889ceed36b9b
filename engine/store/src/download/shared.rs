//! What this node has for the other members: files that were verified, and what has come of those that are being fetched, named
//! by their hashes. The names of files never come from outside; that of a repository is only taken as a plain one.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use base::{BytesAsked, HeldFile, HeldFiles, HubRevision};
use tokio::time::{Instant, sleep};

use super::arriving::{Arriving, Ranges};
use super::blocking;
use super::digest::Digest;
use super::error::DownloadError;
use super::listing::HubFile;
use super::name::{Repository, Wanted};
use super::shelf::Shelf;
use crate::Places;

/// Read at once.
const PIECE_BYTES: u64 = 512 << 10;
/// Whoever waits for bytes that are still to come is told to ask again after this; sessions allow for three seconds.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Between two looks at whether they have come.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The models of some folders, as members may have them. [`Shared::files`] and [`Shared::open`] block.
#[derive(Debug, Clone)]
pub struct Shared {
    places: Places,
}

/// Bytes of a file that is here, or coming.
#[derive(Debug)]
pub struct SharedBytes {
    shelf: Shelf,
    file: HubFile,
    open: Open,
    left: Range<u64>,
}

#[derive(Debug)]
enum Open {
    Verified(File),
    Arriving(Arriving),
    /// There is nothing of it yet.
    Not,
}

impl Shared {
    /// What is in the folders of models that are there.
    pub fn of(places: impl Into<Places>) -> Self {
        let places = places.into();
        Self { places }
    }

    /// What there is of a revision of a repository; `None` if there is nothing.
    pub fn files(&self, asked: &HubRevision) -> Option<HeldFiles> {
        let revision = &asked.revision;
        let fits = |shelf: &Shelf| shelf.listing.commit == *revision || shelf.revision == *revision;
        let found = self.shelves(&asked.repository).into_iter().find(fits)?;
        let held = |file: &HubFile| {
            let Ranges { here, coming } = ranges(&found, file);
            HeldFile {
                name: file.name.clone(),
                size: file.size,
                hash: file.digest.to_text(),
                is_wanted: !found.left_out.contains(&file.name),
                here,
                coming,
            }
        };
        Some(HeldFiles {
            fetches: found.fetches(),
            files: found.listing.files.iter().map(held).collect(),
            commit: found.listing.commit,
        })
    }

    /// Opens a file, to read some of it. One that is being fetched may have none of that yet.
    pub fn open(&self, asked: &BytesAsked) -> Option<SharedBytes> {
        let digest = Digest::from_text(&asked.hash)?;
        if asked.range.end > asked.size {
            return None;
        }
        let shelves = self.shelves(&asked.repository).into_iter();
        let mut found = shelves.filter_map(|shelf| {
            let mut files = shelf.listing.files.iter();
            let file = files.find(|file| file.digest == digest && file.size == asked.size)?;
            let file = file.clone();
            let open = Open::of(&shelf, &file);
            let left = asked.range.clone();
            let may_come = !matches!(open, Open::Not) || shelf.fetches();
            may_come.then_some(SharedBytes {
                shelf,
                file,
                open,
                left,
            })
        });
        found.next()
    }

    fn shelves(&self, repository: &str) -> Vec<Shelf> {
        let repository: Option<Repository> = Wanted::parse(repository)
            .ok()
            .map(|wanted| wanted.repository);
        let Some(repository) = repository else {
            return Vec::new();
        };
        let places = self.places.all().into_iter();
        places
            .flat_map(|place| Shelf::all(&place.path, &repository))
            .collect()
    }
}

impl SharedBytes {
    /// The next piece, of at most 512 KiB, and what is left; `None` after the last one, or when nothing more has come for two
    /// seconds, or what there is cannot be read.
    pub async fn next(self) -> Option<(Vec<u8>, Self)> {
        if self.left.is_empty() {
            return None;
        }
        let (asked_at, mut waiting) = (Instant::now(), self);
        // Ends after `WAIT_MAX`.
        loop {
            let (piece, rest) = blocking(|| waiting.read()).await.ok()?;
            if !piece.is_empty() {
                return Some((piece, rest));
            }
            if asked_at.elapsed() >= WAIT_MAX {
                return None;
            }
            waiting = rest;
            sleep(LOOK_EVERY).await;
        }
    }

    /// Reads the next piece; an empty one if it has not come yet.
    fn read(mut self) -> Result<(Vec<u8>, Self), DownloadError> {
        let Range { start, end } = self.left;
        let wanted = start..end.min(start + PIECE_BYTES);
        if matches!(self.open, Open::Not) {
            self.open = Open::of(&self.shelf, &self.file);
        }
        let piece = self.open.read(&wanted);
        let piece = piece.map_err(DownloadError::io(Path::new(&self.file.name)))?;
        self.left.start += piece.len() as u64;
        Ok((piece, self))
    }
}

impl Open {
    fn of(shelf: &Shelf, file: &HubFile) -> Self {
        let verified = shelf.verified(file).and_then(|path| File::open(path).ok());
        match verified {
            Some(file) => Self::Verified(file),
            None => shelf.arriving(file).map_or(Self::Not, Self::Arriving),
        }
    }

    fn read(&self, wanted: &Range<u64>) -> io::Result<Vec<u8>> {
        match self {
            Self::Verified(file) => {
                let mut piece = vec![0; (wanted.end - wanted.start) as usize];
                file.read_exact_at(&mut piece, wanted.start)?;
                Ok(piece)
            }
            Self::Arriving(arriving) => arriving.read(wanted),
            Self::Not => Ok(Vec::new()),
        }
    }
}

/// The bytes of a file that are there, and those that are coming.
fn ranges(shelf: &Shelf, file: &HubFile) -> Ranges {
    if shelf.verified(file).is_some() {
        return Ranges {
            here: std::iter::once(0..file.size).collect(),
            coming: Vec::new(),
        };
    }
    // One that is begun anew at this moment has nothing.
    let ranges = shelf.arriving(file).map(|arriving| arriving.ranges());
    ranges.and_then(Result::ok).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const COMMIT: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";
    const HELLO: &str = "git:ce013625030ba8dba906f756967f9e9ca394464a";

    fn asked(repository: &str, hash: &str, range: Range<u64>) -> BytesAsked {
        BytesAsked {
            repository: repository.to_owned(),
            hash: hash.to_owned(),
            size: 6,
            range,
        }
    }

    #[tokio::test]
    async fn verified_files_are_shared_by_their_hashes_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("ada/m");
        fs::create_dir_all(&model).unwrap();
        fs::write(model.join("hello"), "hello\n").unwrap();
        fs::write(model.join("secret"), "secret").unwrap();
        let shared = Shared::of(folder.path().to_owned());
        assert!(
            shared.open(&asked("ada/m", HELLO, 0..6)).is_none(),
            "unverified"
        );
        let manifest = format!(
            r#"{{"version": 1, "revision": "main", "commit": "{COMMIT}", "files": [
                {{"name": "hello", "size": 6, "digest": {{"git_blob": "{}"}}}}]}}"#,
            &HELLO[4..]
        );
        fs::write(model.join(".download.json"), manifest).unwrap();
        let open = shared.open(&asked("ada/m", HELLO, 1..4)).unwrap();
        let (piece, rest) = open.next().await.unwrap();
        assert_eq!(piece, b"ell");
        assert!(rest.next().await.is_none());
        for revision in ["main", COMMIT] {
            let asked = HubRevision {
                repository: "ada/m".to_owned(),
                revision: revision.to_owned(),
            };
            let held = shared.files(&asked).unwrap();
            assert_eq!((held.commit.as_str(), held.files.len()), (COMMIT, 1));
            assert_eq!(held.files[0].here.first(), Some(&(0..6)));
        }
        for other in [
            asked("ada/m", HELLO, 1..7),
            asked("ada/../ada/m", HELLO, 0..6),
            asked("ada/x", HELLO, 0..6),
            asked("ada/m", "../secret", 0..6),
            asked("ada/m", &HELLO.replace('a', "b"), 0..6),
        ] {
            assert!(shared.open(&other).is_none(), "{other:?}");
        }
        fs::remove_file(model.join("hello")).unwrap();
        std::os::unix::fs::symlink("secret", model.join("hello")).unwrap();
        assert!(
            shared.open(&asked("ada/m", HELLO, 0..6)).is_none(),
            "a link"
        );
    }
}
