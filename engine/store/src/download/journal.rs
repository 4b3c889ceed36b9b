//! How far each part of a file has come, on the disk beside it: written by whoever fetches the file, read by whoever lends it.
//!
//! Little-endian u64s: the file's size, the bytes of a part, then for each part how many of its bytes are there, from its
//! beginning, and up to which place in the file a hub was asked for more, or 0.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

const WORD_BYTES: u64 = 8;
const HEAD_WORDS: u64 = 2;
const PART_WORDS: u64 = 2;

/// The open journal of a file. Its methods block.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    size: u64,
    part_bytes: u64,
}

impl Journal {
    /// That of a file of `size` bytes in parts of `part_bytes`, whatever is written in it.
    pub(super) fn new(file: File, size: u64, part_bytes: u64) -> Self {
        Self {
            file,
            size,
            part_bytes,
        }
    }

    /// That which somebody keeps of a file of `size` bytes; `None` if it is no such file's.
    pub(super) fn kept(file: File, size: u64) -> io::Result<Option<Self>> {
        let mut journal = Self::new(file, size, 1);
        journal.part_bytes = journal.word(1)?;
        let counts = journal.part_bytes > 0 && journal.counts()?;
        Ok(counts.then_some(journal))
    }

    /// How many parts the file has.
    pub(super) fn parts(&self) -> u64 {
        self.size.div_ceil(self.part_bytes)
    }

    /// The places of a part's bytes in the file.
    pub(super) fn part(&self, part: u64) -> Range<u64> {
        let start = part * self.part_bytes;
        start..self.size.min(start + self.part_bytes)
    }

    /// The part that has a byte.
    pub(super) fn part_of(&self, place: u64) -> u64 {
        place / self.part_bytes
    }

    /// Begins it: nothing is there. The size is what makes it count, so it is written last.
    pub(super) fn begin(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.set_len(self.length())?;
        self.set_word(1, self.part_bytes)?;
        self.set_word(0, self.size)
    }

    /// Whether it is such a file's.
    pub(super) fn counts(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() == self.length()
            && self.word(0)? == self.size
            && self.word(1)? == self.part_bytes)
    }

    /// The bytes of a part that it says are there; none if it says what cannot be.
    pub(super) fn here(&self, part: u64) -> io::Result<Range<u64>> {
        let Range { start, end } = self.part(part);
        let done = self.word(HEAD_WORDS + part * PART_WORDS)?;
        Ok(start..if done <= end - start {
            start + done
        } else {
            start
        })
    }

    /// The bytes of a part that a hub was asked for and that are not there yet.
    pub(super) fn coming(&self, part: u64) -> io::Result<Range<u64>> {
        let start = self.here(part)?.end;
        let until = self.word(HEAD_WORDS + part * PART_WORDS + 1)?;
        Ok(start..until.clamp(start, self.part(part).end))
    }

    /// Notes how many bytes of a part are there.
    pub(super) fn set_here(&self, part: u64, bytes: u64) -> io::Result<()> {
        self.set_word(HEAD_WORDS + part * PART_WORDS, bytes)
    }

    /// Notes up to where in the file a hub was asked for more of a part; 0 if it was not.
    pub(super) fn set_coming(&self, part: u64, until: u64) -> io::Result<()> {
        self.set_word(HEAD_WORDS + part * PART_WORDS + 1, until)
    }

    fn length(&self) -> u64 {
        (HEAD_WORDS + self.parts() * PART_WORDS) * WORD_BYTES
    }

    fn word(&self, index: u64) -> io::Result<u64> {
        let mut word = [0; WORD_BYTES as usize];
        self.file.read_exact_at(&mut word, index * WORD_BYTES)?;
        Ok(u64::from_le_bytes(word))
    }

    fn set_word(&self, index: u64, word: u64) -> io::Result<()> {
        self.file
            .write_all_at(&word.to_le_bytes(), index * WORD_BYTES)
    }
}
