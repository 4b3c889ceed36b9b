//! A file that is not whole yet: its bytes, and a journal of how far each of its parts has come.
//!
//! Parts are filled from their beginning, several at once. Bytes are written before the journal tells of them, so a process
//! that ends at any instant loses at most what it had not written. Should a whole machine fall, the journal may claim
//! bytes that never reached the disk: the hash over the whole file finds that out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::NodeId;

use super::error::DownloadError;
use super::journal::Journal;
use super::listing::HubFile;

/// How the name of a journal ends.
const JOURNAL_END: &str = ".journal";

/// An open partial file. Its methods block; two tasks may write different parts of it at once.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    data: File,
    journal_path: PathBuf,
    journal: Journal,
    done: Vec<AtomicU64>,
    /// Bytes that members lent since it was opened, by part.
    lent: Mutex<BTreeMap<usize, BTreeMap<NodeId, u64>>>,
}

/// Bytes that are not there any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub bytes: u64,
    /// Those of them that members had lent.
    pub lent_bytes: u64,
    /// Who they were.
    pub lenders: BTreeSet<NodeId>,
}

impl Partial {
    /// Opens what there is of a file in `folder`, or begins it. A journal that does not belong to such a file, or claims
    /// more than is there, counts for nothing.
    pub(super) fn open(
        folder: &Path,
        file: &HubFile,
        part_bytes: u64,
    ) -> Result<Self, DownloadError> {
        let path = folder.join(&file.name);
        let journal_path = folder.join(journal_name(&file.name));
        let journal = Journal::new(open(&journal_path)?, file.size, part_bytes);
        let partial = Self {
            data: open(&path)?,
            path,
            journal_path,
            done: (0..journal.parts()).map(|_| AtomicU64::new(0)).collect(),
            journal,
            lent: Mutex::default(),
        };
        let counts = partial.journal.counts();
        if counts.map_err(DownloadError::io(&partial.journal_path))? {
            partial.go_on()?;
        } else {
            partial.restart()?;
        }
        Ok(partial)
    }

    /// Takes up what the journal says and can be true. Nothing of it is coming any more.
    fn go_on(&self) -> Result<(), DownloadError> {
        let take_up = || {
            let there = self.data.metadata()?.len();
            for (part, done) in (0..).zip(&self.done) {
                let here = self.journal.here(part)?;
                if here.end <= there {
                    done.store(here.end - here.start, Ordering::Release);
                }
                self.journal.set_coming(part, 0)?;
            }
            Ok(())
        };
        take_up().map_err(DownloadError::io(&self.journal_path))
    }

    /// Forgets all bytes.
    pub(super) fn restart(&self) -> Result<(), DownloadError> {
        let begin = || {
            self.journal.begin()?;
            self.data.set_len(0)
        };
        begin().map_err(DownloadError::io(&self.journal_path))?;
        self.done
            .iter()
            .for_each(|done| done.store(0, Ordering::Release));
        Ok(())
    }

    /// Forgets what cannot be trusted of a file whose hash is wrong: the parts of which members lent bytes, or else all.
    pub(super) fn forget(&self) -> Result<Forgotten, DownloadError> {
        let lent = std::mem::take(&mut *self.lent());
        let mut forgotten = Forgotten::default();
        if lent.is_empty() {
            forgotten.bytes = self.done_bytes();
            self.restart()?;
        }
        for (part, lenders) in lent {
            let noted = self.journal.set_here(part as u64, 0);
            noted.map_err(DownloadError::io(&self.journal_path))?;
            forgotten.bytes += self.done[part].swap(0, Ordering::AcqRel);
            forgotten.lent_bytes += lenders.values().sum::<u64>();
            forgotten.lenders.extend(lenders.into_keys());
        }
        Ok(forgotten)
    }

    /// Forgets what came of a part.
    pub(super) fn forget_part(&self, part: usize) -> Result<(), DownloadError> {
        let noted = self.journal.set_here(part as u64, 0);
        noted.map_err(DownloadError::io(&self.journal_path))?;
        self.done[part].store(0, Ordering::Release);
        Ok(())
    }

    /// Remembers who lent bytes that were added to a part.
    pub(super) fn lent_by(&self, part: usize, lender: NodeId, bytes: u64) {
        let mut lent = self.lent();
        *lent.entry(part).or_default().entry(lender).or_default() += bytes;
    }

    fn lent(&self) -> MutexGuard<'_, BTreeMap<usize, BTreeMap<NodeId, u64>>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many parts it has.
    pub(super) fn parts(&self) -> usize {
        self.done.len()
    }

    /// The bytes of a part that are not there yet, by their places in the file.
    pub(super) fn missing(&self, part: usize) -> Range<u64> {
        let Range { start, end } = self.journal.part(part as u64);
        start + self.done[part].load(Ordering::Acquire)..end
    }

    /// Bytes that are there.
    pub(super) fn done_bytes(&self) -> u64 {
        self.done
            .iter()
            .map(|done| done.load(Ordering::Acquire))
            .sum()
    }

    /// A hub was asked for the next bytes of a part, up to a place in the file; 0 if no more come from it.
    pub(super) fn comes_until(&self, part: usize, until: u64) -> Result<(), DownloadError> {
        let noted = self.journal.set_coming(part as u64, until);
        noted.map_err(DownloadError::io(&self.journal_path))
    }

    /// Adds the next bytes of a part; they must not be more than are missing.
    pub(super) fn append(&self, part: usize, bytes: &[u8]) -> Result<(), DownloadError> {
        let missing = self.missing(part);
        assert!(
            bytes.len() as u64 <= missing.end - missing.start,
            "more than a part's bytes"
        );
        let write = || {
            self.data.write_all_at(bytes, missing.start)?;
            let done = self.done[part].fetch_add(bytes.len() as u64, Ordering::AcqRel)
                + bytes.len() as u64;
            self.journal.set_here(part as u64, done)
        };
        write().map_err(DownloadError::io(&self.path))
    }

    /// The first bytes of the file, which must be there.
    pub(super) fn beginning(&self, bytes: u64) -> Result<Vec<u8>, DownloadError> {
        let mut first = vec![0; bytes as usize];
        let read = self.data.read_exact_at(&mut first, 0);
        read.map_err(DownloadError::io(&self.path))?;
        Ok(first)
    }

    /// Whether all of it is there and is what it should be. Reads the whole file.
    pub(super) fn is_whole(&self, file: &HubFile) -> Result<bool, DownloadError> {
        let check = || {
            let content = File::open(&self.path)?;
            Ok(content.metadata()?.len() == file.size && file.digest.fits(file.size, content)?)
        };
        check().map_err(DownloadError::io(&self.path))
    }

    /// Gives a verified file its place, once it is safe on the disk.
    pub(super) fn keep_as(&self, target: &Path) -> Result<(), DownloadError> {
        self.data
            .sync_all()
            .map_err(DownloadError::io(&self.path))?;
        std::fs::rename(&self.path, target).map_err(DownloadError::io(target))?;
        std::fs::remove_file(&self.journal_path).map_err(DownloadError::io(&self.journal_path))
    }
}

/// What the journal of a partial file is called.
pub(super) fn journal_name(file: &str) -> String {
    format!("{file}{JOURNAL_END}")
}

/// The partial file that something in its folder belongs to: itself, or the one whose journal it is.
pub(super) fn file_of(name: &str) -> &str {
    name.strip_suffix(JOURNAL_END).unwrap_or(name)
}

/// A file of the store; where a link has its name, the link is taken away and not followed.
fn open(path: &Path) -> Result<File, DownloadError> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        std::fs::remove_file(path).map_err(DownloadError::io(path))?;
    }
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(DownloadError::io(path))
}

#[cfg(test)]
mod tests {
    use super::super::digest::Digest;
    use super::*;

    fn hello() -> HubFile {
        HubFile {
            name: "hello".to_owned(),
            size: 6,
            digest: Digest::git_blob("ce013625030ba8dba906f756967f9e9ca394464a").unwrap(),
        }
    }

    #[test]
    fn what_was_written_is_known_again_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Partial::open(folder.path(), &hello(), 4).unwrap();
        let partial = open();
        assert_eq!(
            (partial.parts(), partial.missing(0), partial.missing(1)),
            (2, 0..4, 4..6)
        );
        partial.append(1, b"o").unwrap();
        partial.append(0, b"hel").unwrap();
        drop(partial);
        let partial = open();
        assert_eq!(
            (partial.missing(0), partial.missing(1), partial.done_bytes()),
            (3..4, 5..6, 4)
        );
        partial.append(0, b"l").unwrap();
        assert!(!partial.is_whole(&hello()).unwrap());
        partial.append(1, b"\n").unwrap();
        assert!(partial.is_whole(&hello()).unwrap());
        let kept = folder.path().join("kept");
        partial.keep_as(&kept).unwrap();
        assert_eq!(std::fs::read(kept).unwrap(), b"hello\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_a_wrong_file_the_parts_that_were_lent_are_forgotten_first() {
        let folder = tempfile::tempdir().unwrap();
        let partial = Partial::open(folder.path(), &hello(), 4).unwrap();
        let lender = NodeId([1; 32]);
        partial.append(0, b"hell").unwrap();
        partial.append(1, b"x").unwrap();
        partial.append(1, b"x").unwrap();
        partial.lent_by(1, lender, 1);
        let forgotten = Forgotten {
            bytes: 2,
            lent_bytes: 1,
            lenders: BTreeSet::from([lender]),
        };
        assert_eq!(partial.forget().unwrap(), forgotten);
        drop(partial);
        let partial = Partial::open(folder.path(), &hello(), 4).unwrap();
        assert_eq!((partial.missing(0), partial.missing(1)), (4..4, 4..6));
        assert_eq!(partial.forget().unwrap().bytes, 4, "nobody else to blame");
        assert_eq!(partial.missing(0), 0..4);
    }

    #[test]
    fn a_journal_that_cannot_be_true_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello");
        let partial = Partial::open(folder.path(), &hello(), 4).unwrap();
        partial.append(0, b"hell").unwrap();
        partial.append(1, b"o").unwrap();
        drop(partial);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(3)
            .unwrap();
        assert_eq!(
            Partial::open(folder.path(), &hello(), 4)
                .unwrap()
                .done_bytes(),
            0
        );
        let other = Partial::open(folder.path(), &hello(), 2).unwrap();
        assert_eq!((other.parts(), other.done_bytes()), (3, 0));
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::fs::write(&elsewhere, "mine").unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("hello")).unwrap();
        let partial = Partial::open(folder.path(), &hello(), 4).unwrap();
        partial.append(0, b"hell").unwrap();
        assert_eq!(std::fs::read(elsewhere).unwrap(), b"mine");
    }
}
