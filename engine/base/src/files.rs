//! What members of a cluster ask and tell each other of the files of a repository.

use std::ops::Range;

/// A revision of a repository of a hub: that which members ask each other about, or wish each other to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubRevision {
    /// `owner/name`.
    pub repository: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

/// Hexadecimal digits of a commit's full hash.
const COMMIT_DIGITS: usize = 40;

impl HubRevision {
    /// Whether it means the same files for ever: its revision is the full hash of a commit.
    pub fn names_a_commit(&self) -> bool {
        let revision = self.revision.as_bytes();
        revision.len() == COMMIT_DIGITS && revision.iter().all(u8::is_ascii_hexdigit)
    }
}

/// What a member has of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldFiles {
    /// 40 hexadecimal digits.
    pub commit: String,
    /// It is fetching what is missing from a hub, for as long as it can.
    pub fetches: bool,
    /// All files of that commit that a model needs, those too that are not there.
    pub files: Vec<HeldFile>,
}

/// A file of a commit, and what there is of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldFile {
    /// A plain name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// `sha256:` or `git:` and hexadecimal digits.
    pub hash: String,
    /// Whether it is to be there: a node may need some of a model's files alone.
    pub is_wanted: bool,
    /// The bytes that are there, by their places in the file.
    pub here: Vec<Range<u64>>,
    /// The bytes that a hub was asked for and that are not there yet, in the order in which they come in each range.
    pub coming: Vec<Range<u64>>,
}

/// What stands for a file of weights in a folder that has some of a model's files: one of the same length with nothing in it but
/// the file's header, so that whoever reads headers sees all of the model.
pub fn header_name(file: &str) -> String {
    format!(".{file}{HEADER_END}")
}

/// The file for which one of this name stands, if it is a [header](header_name).
pub fn named_by_header(name: &str) -> Option<&str> {
    name.strip_prefix('.')?.strip_suffix(HEADER_END)
}

/// How the name of a header ends.
const HEADER_END: &str = ".header";

/// Asks for bytes of a file, which is named by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BytesAsked {
    /// `owner/name`.
    pub repository: String,
    /// As [`HeldFile::hash`].
    pub hash: String,
    /// Bytes of the whole file.
    pub size: u64,
    /// Which bytes.
    pub range: Range<u64>,
}
