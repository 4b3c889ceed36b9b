//! What models take of the node's disks, as the gateway has it.

use std::path::PathBuf;

/// Everything in the folders of models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// In the order in which they count: of a model in several of them that of the first.
    pub folders: Vec<Folder>,
    /// Models that can be used.
    pub models: Vec<Held>,
    /// Downloads that are not whole and go on.
    pub downloads: Vec<Begun>,
    /// What nobody needs any more.
    pub leftovers: Vec<Leftover>,
}

/// A folder of models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// What it is to the node.
    pub kind: FolderKind,
    /// Whether it is there now: its disk may not be connected.
    pub available: bool,
    /// Bytes that its disk has free, if that is known.
    pub free_bytes: Option<u64>,
}

/// What a folder of models is to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderKind {
    /// The data folder's.
    Own,
    /// Downloads may go there, and models there may be deleted.
    Writable,
    /// Nothing is changed there.
    ReadOnly,
    /// The cache of Hugging Face's own tools. Nothing is changed there.
    HuggingFaceCache,
}

/// A model in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The name to use in requests.
    pub model: String,
    /// Its files are there.
    pub path: PathBuf,
    /// The folder of models in which they lie.
    pub folder: PathBuf,
    /// What they take.
    pub bytes: u64,
    /// When it was last open, seconds since 1970; `None` if it was not since this is noted.
    pub last_used_unix_seconds: Option<u64>,
    /// Whether it is open now.
    pub is_open: bool,
    /// Whether it may be deleted: also not while it is open.
    pub may_delete: bool,
}

/// A download that is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// `owner/name`.
    pub model: String,
    /// The folder of models to which it goes.
    pub folder: PathBuf,
    /// What it takes so far.
    pub bytes: u64,
}

/// Something that nobody needs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where it is.
    pub path: PathBuf,
    /// What it takes.
    pub bytes: u64,
    /// What it is, in words.
    pub what: String,
    /// Why cleaning up leaves it, in words; `None` if it removes it.
    pub stays: Option<String>,
}

/// Models whose deletion would make room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// Those first that were not used for the longest time.
    pub models: Vec<Held>,
    /// What they take.
    pub bytes: u64,
    /// Whether that is as much as was needed; otherwise there are no others.
    pub is_enough: bool,
}
