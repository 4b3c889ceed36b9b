//! Every number this crate decides by: time limits, retry rules, bounds. Each says why that value.

/// A rank whose node has not begun to look for the model's files after this is given up, and one that has them and
/// has not taken its ports. Both need no disk and no download, so only a node that hangs needs longer; ten seconds
/// forgives one that swaps, or ends a worker of the plan before.
pub const RESERVE_LIMIT_MS: u64 = 10_000;

/// A rank whose node has not found out after this which of the model's files it lacks is given up. A disk may have to
/// wake, and a hub to be asked more than once. How long fetching them takes is not limited: it is hours for a large
/// model, the node itself ends what does not get on, and a user sees the bytes and may close it.
pub const LOOK_LIMIT_MS: u64 = 300_000;

/// A worker whose report has not changed for this long is given up. The longest honest silence is the time for one
/// progress report of a cold disk (seconds) and, after the last byte, the first evaluation of the weights.
pub const LOAD_SILENCE_LIMIT_MS: u64 = 60_000;

/// A worker that lost its group says so before its node's loss is noticed. Waiting this long for the cause usually
/// saves a placement on a node that is gone; it is small against the time of a load.
pub const LOST_GROUP_PATIENCE_MS: u64 = 250;

/// How long to wait before the next attempt, by the number of failures in a row; one more failure than there are
/// entries is the end. A first retry is at once because most failures are a lost process, the later ones are spaced
/// so that a crash loop costs little.
pub const RETRY_DELAYS_MS: [u64; 4] = [0, 200, 1_000, 3_000];

/// An instance that was ready for this long has its failures forgiven: what fails next is a new trouble.
pub const STABLE_MS: u64 = 5_000;

/// A node that failed an instance this often with something that was its own fault is not asked again for it.
pub const STRIKES_MAX: u32 = 2;

/// The next rank waits this long for the one before it to take over an instance whose owner is gone. Longer than
/// two nodes ever differ in noticing a loss, so that two takers are rare; rank order makes the first not wait at all.
pub const TAKEOVER_STEP_MS: u64 = 3_000;

/// An instance whose owner is gone and that nobody has taken over is forgotten after this: every rank has had its
/// turn several times by then.
pub const ORPHAN_MS: u64 = 60_000;

/// A closed instance is remembered this long, so that a late record cannot bring it back. A session that was cut
/// re-connects or is given up long before.
pub const CLOSED_MS: u64 = 600_000;

/// A lost node stays in the view this long, so that a person can see what was there.
pub const LOST_NODE_MS: u64 = 600_000;

/// Open instances kept. A person opens a handful; a member that announces more is faulty.
pub const INSTANCES_MAX: usize = 256;

/// Closed instances remembered; beyond that the oldest are forgotten early.
pub const CLOSED_MAX: usize = 256;

/// Other nodes kept, linked, lost or only seen.
pub const NODES_MAX: usize = 128;

/// Shards accepted in one node's record: one per instance and one that is on its way out.
pub const SHARDS_MAX: usize = 2 * INSTANCES_MAX;

/// Loading progress is told to other nodes at most this often; it is for people to watch.
pub const PROGRESS_INTERVAL_MS: u64 = 200;

/// Free memory is told to other nodes when it changed by more than the total divided by this: finer changes decide
/// nothing and would make every node talk all the time.
pub const MEMORY_GRAIN: u64 = 64;

/// A node that ran out of memory for an instance is asked again when it lends more than then by its total divided
/// by this: less would most likely fail again.
pub const MEMORY_RELIEF: u64 = 16;

/// Records kept from a member whose link is not up at this end yet: everything it can have to say twice over.
pub const EARLY_MAX: usize = 2 * (INSTANCES_MAX + CLOSED_MAX + 1);
