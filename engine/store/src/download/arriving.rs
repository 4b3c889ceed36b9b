//! A file that is being fetched, as others may have it: the bytes that are there, read while more of them come.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::journal::Journal;
use super::listing::HubFile;
use super::partial::journal_name;

/// Somebody's partial file, open for reading. Its methods block.
#[derive(Debug)]
pub(super) struct Arriving {
    data: File,
    journal: Journal,
}

/// Bytes of a file by their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// They are there.
    pub(super) here: Vec<Range<u64>>,
    /// A hub was asked for them.
    pub(super) coming: Vec<Range<u64>>,
}

impl Arriving {
    /// Opens what there is of a file in the folder of partial ones.
    pub(super) fn open(folder: &Path, file: &HubFile) -> Option<Self> {
        let regular = |name: &str| {
            let path = folder.join(name);
            let found = std::fs::symlink_metadata(&path).ok()?;
            found.is_file().then(|| File::open(path).ok())?
        };
        let journal = Journal::kept(regular(&journal_name(&file.name))?, file.size);
        Some(Self {
            data: regular(&file.name)?,
            journal: journal.ok()??,
        })
    }

    /// The bytes that are there, and those that a hub was asked for.
    pub(super) fn ranges(&self) -> io::Result<Ranges> {
        let mut ranges = Ranges::default();
        for part in 0..self.journal.parts() {
            add(&mut ranges.here, self.journal.here(part)?);
            add(&mut ranges.coming, self.journal.coming(part)?);
        }
        Ok(ranges)
    }

    /// Reads the bytes from `wanted.start` on that are there, as many as are wanted of one part; none if the first is not there.
    pub(super) fn read(&self, wanted: &Range<u64>) -> io::Result<Vec<u8>> {
        let here = self.journal.here(self.journal.part_of(wanted.start))?;
        let end = here.end.min(wanted.end);
        let mut bytes = vec![0; end.saturating_sub(wanted.start) as usize];
        self.data.read_exact_at(&mut bytes, wanted.start)?;
        Ok(bytes)
    }
}

/// Adds a range that comes after all others.
fn add(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest::Digest;
    use super::super::partial::Partial;
    use super::*;

    #[test]
    fn others_read_what_is_there_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let file = HubFile {
            name: "hello".to_owned(),
            size: 6,
            digest: Digest::git_blob("ce013625030ba8dba906f756967f9e9ca394464a").unwrap(),
        };
        let open = || Arriving::open(folder.path(), &file);
        assert!(open().is_none());
        let partial = Partial::open(folder.path(), &file, 4).unwrap();
        let arriving = open().unwrap();
        assert_eq!(arriving.ranges().unwrap(), Ranges::default());
        partial.comes_until(1, 6).unwrap();
        partial.append(0, b"hel").unwrap();
        partial.append(1, b"o").unwrap();
        let Ranges { here, coming } = arriving.ranges().unwrap();
        assert_eq!(here, [0..3, 4..5]);
        assert_eq!(coming.first(), Some(&(5..6)));
        assert_eq!(arriving.read(&(1..6)).unwrap(), b"el");
        assert_eq!(arriving.read(&(3..6)).unwrap(), b"");
        assert_eq!(arriving.read(&(4..6)).unwrap(), b"o");
        partial.append(0, b"l").unwrap();
        partial.append(1, b"\n").unwrap();
        assert_eq!(arriving.ranges().unwrap().here.first(), Some(&(0..6)));
        let kept = folder.path().join("kept");
        partial.keep_as(&kept).unwrap();
        assert_eq!(arriving.read(&(0..6)).unwrap(), b"hell", "also after that");
        assert!(open().is_none());
    }

    #[test]
    fn a_file_that_is_begun_anew_takes_its_bytes_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = HubFile {
            name: "hello".to_owned(),
            size: 6,
            digest: Digest::git_blob("ce013625030ba8dba906f756967f9e9ca394464a").unwrap(),
        };
        let partial = Partial::open(folder.path(), &file, 4).unwrap();
        partial.append(0, b"hell").unwrap();
        let arriving = Arriving::open(folder.path(), &file).unwrap();
        partial.restart().unwrap();
        assert_eq!(arriving.read(&(0..6)).unwrap(), b"");
    }
}
