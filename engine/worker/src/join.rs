//! Joining MLX's ring.
//!
//! In the ring rank r accepts a connection from rank r - 1 and makes one to rank r + 1. Every rank but the last first
//! accepts; the last first connects, to rank 0, and then accepts. Whoever connects where nobody listens yet is refused and
//! sleeps for a second before it tries again. The last rank therefore joins a little later. With two ranks there is
//! one more such moment: rank 0, as soon as it has accepted, connects to a rank that begins to listen just then. Between
//! machines that one is ahead by the way of a packet; on one machine the second is sometimes lost, and priorities or
//! processors of the threads were tried and do not help.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use base::{ErrorCode, Failure, ShardSpec};
use models::Group;

use crate::outbox::Outbox;
use crate::{end, failure};

/// For MLX to connect the ring once every rank has been told to. It retries after 1, 2, 4 and 8 seconds.
const JOIN_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the last rank waits before it joins, so that rank 0 listens by then: starting MLX takes it a few
/// milliseconds from the word go.
const LAST_RANK_DELAY: Duration = Duration::from_millis(40);

/// Joins the ring as the rank of `spec`, whose world is larger than one.
pub fn join(spec: &ShardSpec, outbox: &Outbox) -> Result<Group, Failure> {
    if spec.rank + 1 == spec.world {
        std::thread::sleep(LAST_RANK_DELAY);
    }
    let timer = Timer::start(JOIN_TIMEOUT, outbox);
    let group = Group::join().map_err(|error| failure::group(&error))?;
    drop(timer);
    Ok(group)
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
