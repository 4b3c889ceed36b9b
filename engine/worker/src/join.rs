//! Joining MLX's ring without losing a second to its retries.
//!
//! In the ring rank r accepts a connection from rank r - 1 and makes one to rank r + 1. Every rank but the last first
//! accepts; the last first connects, to rank 0, and then accepts. Whoever connects where nobody listens yet is refused and
//! sleeps for a second before it tries again. Two such moments can be lost, and here both are won.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use base::{ErrorCode, Failure, ShardSpec};
use models::{Group, GroupError};

use crate::outbox::Outbox;
use crate::{end, failure};

/// For MLX to connect the ring once every rank has been told to. It retries after 1, 2, 4 and 8 seconds.
const JOIN_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the last rank waits before it joins, so that rank 0 listens by then: starting MLX takes it a few
/// milliseconds from the word go.
const LAST_RANK_DELAY: Duration = Duration::from_millis(40);

/// The lowest priority of a thread.
#[cfg(target_os = "linux")]
const NICE_MAX: i32 = 19;

/// Joins the ring as the rank of `spec`, whose world is larger than one.
pub fn join(spec: &ShardSpec, outbox: &Outbox) -> Result<Group, Failure> {
    if spec.rank + 1 == spec.world {
        std::thread::sleep(LAST_RANK_DELAY);
    }
    let timer = Timer::start(JOIN_TIMEOUT, outbox);
    if spec.rank == 0 && spec.world == 2 {
        connect_politely().map_err(|error| failure::group(&error))?;
    }
    let group = Group::join().map_err(|error| failure::group(&error))?;
    drop(timer);
    Ok(group)
}

/// With two ranks, each is the other's neighbour on both sides: rank 0, as soon as it has accepted, connects to a rank
/// that begins to listen at that very moment. On one machine that is a race between two threads, which rank 0 must
/// lose, so it runs with the lowest priority, on a thread of its own because a priority never rises again. MLX keeps
/// the connections, and the next join finds them made. Between machines the last rank is ahead by the way of a packet.
fn connect_politely() -> Result<(), GroupError> {
    let connect = || {
        // Where a thread has no priority of its own, or it may not be changed, the race is as it was.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, NICE_MAX);
        Group::join().map(drop)
    };
    std::thread::Builder::new()
        .name("join".into())
        .spawn(connect)
        .map_err(|error| GroupError(error.to_string()))?
        .join()
        // A panic has ended the process through its hook.
        .unwrap_or(Ok(()))
}

/// Ends the process unless it is dropped in time: for calls into MLX that cannot be interrupted.
struct Timer {
    _running: mpsc::SyncSender<()>,
}

impl Timer {
    fn start(timeout: Duration, outbox: &Outbox) -> Self {
        let outbox = outbox.clone();
        // Nothing is ever sent: the channel closes when the timer is dropped.
        let (running, ended) = mpsc::sync_channel::<()>(0);
        std::thread::Builder::new()
            .name("join timer".into())
            .spawn(move || match ended.recv_timeout(timeout) {
                Err(RecvTimeoutError::Timeout) => {
                    let message = format!(
                        "the ranks could not connect to each other within {} s",
                        timeout.as_secs()
                    );
                    let failure = Failure::new(ErrorCode::TimedOut, message)
                        .hint("check that a firewall does not block connections between the nodes");
                    end::fatal(&outbox, failure)
                }
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            })
            .expect("a process that has just started can start a thread");
        Self { _running: running }
    }
}
