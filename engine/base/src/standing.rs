//! For whom a request is, and how it stands among those of others.

use std::time::Duration;

/// Who asks, as far as one caller can be told from another. Nodes and workers share their time evenly among clients; the
/// number says nothing else of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClientId(pub u64);

/// What part of the time a request gets next to others. Nothing waits for ever for something more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Somebody waits for every word.
    Urgent,
    /// As any other.
    #[default]
    Usual,
    /// What has time.
    Patient,
}

/// How a request stands among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Standing {
    /// Who asks.
    pub client: ClientId,
    /// How urgent it is.
    pub priority: Priority,
    /// How long it may wait and be computed, all in all; `None` leaves it to the node.
    pub time_limit: Option<Duration>,
}
