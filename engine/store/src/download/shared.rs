//! What this node has for the other members: files that were verified and nothing else, named by their hashes. The names of
//! files never come from outside; that of a repository is only taken as a plain one.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use base::{BytesAsked, FilesAsked, HeldFile, HeldFiles};

use super::digest::Digest;
use super::listing::HubFile;
use super::name::{Repository, Wanted};
use super::staging::Shelf;
use crate::Places;

/// Read at once.
const PIECE_BYTES: u64 = 512 << 10;

/// The models of some folders, as members may have them. All methods block.
#[derive(Debug, Clone)]
pub struct Shared {
    places: Places,
}

/// Bytes of an open file.
#[derive(Debug)]
pub struct SharedBytes {
    file: File,
    left: Range<u64>,
}

impl Shared {
    /// What is in the folders of models that are there.
    pub fn of(places: impl Into<Places>) -> Self {
        let places = places.into();
        Self { places }
    }

    /// What there is of a revision of a repository; `None` if there is nothing.
    pub fn files(&self, asked: &FilesAsked) -> Option<HeldFiles> {
        let revision = &asked.revision;
        let fits = |shelf: &Shelf| shelf.listing.commit == *revision || shelf.revision == *revision;
        let found = self.shelves(&asked.repository).into_iter().find(fits)?;
        let held = |file: &HubFile| HeldFile {
            name: file.name.clone(),
            size: file.size,
            hash: file.digest.to_text(),
            here: found.verified(file).iter().map(|_| 0..file.size).collect(),
        };
        Some(HeldFiles {
            files: found.listing.files.iter().map(held).collect(),
            commit: found.listing.commit,
        })
    }

    /// Opens a verified file, to read some of it.
    pub fn open(&self, asked: &BytesAsked) -> Option<SharedBytes> {
        let digest = Digest::from_text(&asked.hash)?;
        if asked.range.end > asked.size {
            return None;
        }
        let shelves = self.shelves(&asked.repository);
        let mut found = shelves.iter().filter_map(|shelf| {
            let mut files = shelf.listing.files.iter();
            let file = files.find(|file| file.digest == digest && file.size == asked.size)?;
            File::open(shelf.verified(file)?).ok()
        });
        Some(SharedBytes {
            file: found.next()?,
            left: asked.range.clone(),
        })
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
    /// The next piece, of at most 512 KiB; `None` after the last one.
    pub fn next_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = PIECE_BYTES.min(self.left.end - self.left.start);
        if length == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; length as usize];
        self.file.read_exact_at(&mut piece, self.left.start)?;
        self.left.start += length;
        Ok(Some(piece))
    }
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

    #[test]
    fn verified_files_are_shared_by_their_hashes_and_no_others() {
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
        let mut open = shared.open(&asked("ada/m", HELLO, 1..4)).unwrap();
        assert_eq!(open.next_piece().unwrap().as_deref(), Some(&b"ell"[..]));
        assert_eq!(open.next_piece().unwrap(), None);
        for revision in ["main", COMMIT] {
            let asked = FilesAsked {
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
