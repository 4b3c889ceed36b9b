//! Models that come from a hub, as the gateway has them.

use base::Failure;

/// A model that somebody wants here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Its repository, `owner/name`: also the name of the model once it is here.
    pub model: String,
    /// The branch, tag or commit that was asked for.
    pub revision: String,
    /// The commit that is fetched, once it is known.
    pub commit: Option<String>,
    /// How it goes.
    pub state: State,
    /// Bytes that are on the disk.
    pub bytes_done: u64,
    /// Bytes of all its files; 0 until that is known.
    pub bytes_total: u64,
    /// Bytes that other members of the cluster sent, and no hub, since it last began or went on.
    pub bytes_from_members: u64,
    /// How fast bytes come, while they do.
    pub bytes_per_s: Option<u64>,
    /// How long the rest takes at that speed.
    pub seconds_left: Option<u64>,
}

/// How a download goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It goes on by itself, once something is over: what, if that is not just the downloads before it.
    Waiting(Option<String>),
    /// Bytes come, or are about to.
    Running,
    /// Something went wrong, and is tried again.
    Retrying(String),
    /// Files are held against their hashes.
    Verifying,
    /// Somebody stopped it.
    Paused,
    /// The model is here.
    Done,
    /// It gave up: why, and what to do.
    Failed(Failure),
}

/// What somebody wants to do. A name is `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Fetch a model, `owner/name` or `owner/name@revision`; go on with it if it was paused or failed.
    Start(String),
    /// Stop it, and keep what is there.
    Pause(String),
    /// Go on.
    Resume(String),
    /// Forget it, and delete what is there of it. A model that is whole stays.
    Cancel(String),
}

impl State {
    /// Whether it goes no further by itself.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Done | Self::Failed(_) | Self::Paused => true,
            Self::Waiting(_) | Self::Running | Self::Retrying(_) | Self::Verifying => false,
        }
    }
}
