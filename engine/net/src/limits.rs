//! Every number that bounds what a peer can make this node wait for or keep, each with its reason.

use std::time::Duration;

/// TCP connection to a peer. On a local network it takes a millisecond; two seconds outlast one lost SYN.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// TLS and proof together. They take about 5 ms; three seconds outlast two lost packets on Wi-Fi, and bound
/// how long someone who says nothing holds a place.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// From the proof to an open control stream: one round trip, with the same room as the handshake.
pub(crate) const CONTROL_TIMEOUT: Duration = Duration::from_secs(3);
/// Looking up the name in `--peer`: a system resolver's own first try takes up to five seconds.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two pings on a link.
pub(crate) const PING_EVERY: Duration = Duration::from_millis(500);
/// Pings without an answer (or intervals without a ping) after which a link is lost: two seconds. Counted in turns
/// of our own loop rather than by the clock, so that a busy machine does not take its own delay for the peer's.
pub(crate) const PINGS_LOST_MAX: u32 = 4;
/// From asking for a generation to its first byte. The peer only hands it to a running worker; ten seconds
/// outlast a machine that is busy loading weights.
pub(crate) const GENERATE_TIMEOUT: Duration = Duration::from_secs(10);
/// Saying goodbye: peers close their ends on hearing it, within milliseconds.
pub(crate) const LEAVE_TIMEOUT: Duration = Duration::from_millis(500);
/// First and longest wait between two calls to a peer that cannot be reached.
pub(crate) const REDIAL_MS: (u64, u64) = (100, 2_000);
/// First and longest wait after a refusal: a key does not become right by asking often, and each call of ours is
/// one guess for whoever pretends to be a peer.
pub(crate) const REFUSED_MS: (u64, u64) = (30_000, 300_000);
/// First and longest wait after meeting a node that is in no cluster yet: it may be about to hear that it was let in,
/// and nothing is proven to it that it could learn from.
pub(crate) const NEWCOMER_MS: (u64, u64) = (100, 30_000);
/// Between two looks whether a given address, known to be an already called node, must be called after all.
pub(crate) const COVERED_RECHECK: Duration = Duration::from_secs(2);
/// Failed calls after which a node that only ever called us is forgotten; it calls again if it lives.
pub(crate) const CALL_BACKS_MAX: u32 = 10;

/// Strangers in the handshake at once, over all addresses: each holds a socket and some 50 KB for up to three
/// seconds.
pub(crate) const STRANGERS_MAX: usize = 64;
/// Strangers in the handshake at once from one address, so that one host cannot take every place. Several nodes
/// on one machine share an address.
pub(crate) const STRANGERS_PER_ADDRESS_MAX: usize = 16;
/// Wrong keys from one address in [`WRONG_KEYS_WINDOW`]: a person's typing errors and a few nodes of another
/// cluster on one machine fit, while guessing four random words takes for ever.
pub(crate) const WRONG_KEYS_MAX: u32 = 30;
/// See [`WRONG_KEYS_MAX`].
pub(crate) const WRONG_KEYS_WINDOW: Duration = Duration::from_mins(1);
/// Addresses whose wrong keys are counted; the oldest is forgotten first. More than a home network has.
pub(crate) const ADDRESSES_MAX: usize = 256;
/// Linked nodes. The planner's largest cluster is far smaller.
pub(crate) const LINKS_MAX: usize = 64;
/// Nodes that discovery may show at once; later ones are not shown.
pub(crate) const SIGHTINGS_MAX: usize = 256;
/// Addresses of one node that are tried: a Mac with every port in use has fewer.
pub(crate) const ADDRESSES_PER_NODE_MAX: usize = 8;

/// Frames that wait to be sent to one peer. A full resync is a few dozen records; a peer so slow that this many
/// wait is dropped and gets everything anew.
pub(crate) const CONTROL_QUEUE: usize = 256;
/// Pongs that wait to be sent: the other end sends a ping only every half second.
pub(crate) const PONG_QUEUE: usize = 8;
/// Frames of one peer kept until its link is up in both directions, which takes a round trip. As many as its
/// queue holds.
pub(crate) const HELD_MAX: usize = CONTROL_QUEUE;
/// Messages from sessions that wait for the hub. It only moves them on; full means that `node` does not read.
pub(crate) const HUB_QUEUE: usize = 256;
/// Events that wait for `node`: a few seconds of a busy cluster.
pub(crate) const EVENT_QUEUE: usize = 1024;

/// From a session's beginning to the measurement of what it carries: the rush of the first records is over. The node of
/// the higher id waits twice as long, so that the two directions are not measured at once.
pub(crate) const PROBE_AFTER: Duration = Duration::from_millis(1_500);
/// What one stream of a measurement may send.
pub(crate) const PROBE_BYTES_MAX: usize = 512 * 1024;
/// Streams of one measurement: together their windows are a megabyte, which fills 10 gigabits at the round trips of a
/// cable.
pub(crate) const PROBE_STREAMS: usize = 16;
/// A measurement, or one stream of it at the other end: 8 MB over a slow radio.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Generations at once on one link in one direction.
pub(crate) const GENERATIONS_MAX: usize = 128;
/// HTTP/2 streams at once on one connection: the control stream, the generations, and as many that are just
/// being cancelled.
pub(crate) const STREAMS_MAX: u32 = 2 * GENERATIONS_MAX as u32 + 1;
/// What one stream may send ahead of its reader: some thousand tokens.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// What all streams together may send ahead: every generation's window at once, so that slow readers never
/// stop the control stream.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * STREAMS_MAX;
/// All headers of one request or response; ours have under 300 bytes.
pub(crate) const HEADER_BYTES_MAX: u32 = 4 * 1024;
/// Longest name taken from outside, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// From asking what a member has of a repository, or for bytes of it, to the first word of its answer. It reads a file's
/// beginning from its disk; three seconds outlast one that has to spin up or is busy.
pub(crate) const FILES_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection for files on which nothing comes for so long although bytes are awaited is given up: others have them too.
pub(crate) const BYTES_STALL: Duration = Duration::from_secs(5);
/// A peer that does not take the next piece of a file for so long loses its place. Its own disk may be busy.
pub(crate) const TAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection for files on which nobody took a piece for so long is closed; the next request makes a new one.
pub(crate) const FILES_IDLE: Duration = Duration::from_mins(1);
/// Files that are read for one peer at once: those of two downloads of eight streams each.
pub(crate) const LENT_PER_PEER_MAX: usize = 16;
/// Files that are read for all peers at once. Each holds three pieces of a file, some two megabytes.
pub(crate) const LENT_MAX: usize = 64;
/// What one stream of a connection for files may send ahead of its reader, in bytes: it fills 10 gigabits at the round
/// trips of a cable.
pub(crate) const FILES_STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What all streams of such a connection together may send ahead.
pub(crate) const FILES_WINDOW_BYTES: u32 = FILES_STREAM_WINDOW_BYTES * LENT_PER_PEER_MAX as u32;

/// A pairing, from the digits to the last click: time to walk to the other room, and no more than anyone wants to be kept
/// from pairing by somebody else's request.
pub(crate) const PAIRING_TIMEOUT: Duration = Duration::from_mins(2);
/// Requests to pair, from anyone, in [`PAIRINGS_ASKED_WINDOW`]: a person who tries again a few times fits. Somebody in
/// between with a chance of one in a million for each needs four months of people who confirm whatever they see.
pub(crate) const PAIRINGS_ASKED_MAX: usize = 5;
/// See [`PAIRINGS_ASKED_MAX`].
pub(crate) const PAIRINGS_ASKED_WINDOW: Duration = Duration::from_mins(1);
/// Clicks that wait to be heard by a pairing: a yes, a no, and some impatience.
pub(crate) const CLICKS_QUEUE: usize = 8;
