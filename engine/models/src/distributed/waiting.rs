//! How the ring waits for its neighbours, on Linux.
//!
//! MLX's ring asks its sockets for data without a pause, which keeps a core busy for every connection that waits. Where
//! the processor does the computing, and where several ranks share a machine, that core is missing elsewhere: two
//! pipeline ranks on two cores ran at a third of one rank's speed. So the sockets that MLX made are set to sleep in the
//! system until data is there. MLX takes the end of such a sleep as it takes an empty socket: it asks again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use socket2::SockRef;

/// What one connection receives and sends goes through one thread, so something to be sent may have to wait for this
/// long if nothing comes in. Systems round it up to their next tick.
const SLEEP_MAX: Duration = Duration::from_millis(1);

/// The sockets of this process, by what the system calls them, with their descriptors.
pub(super) struct Sockets(BTreeMap<OsString, RawFd>);

impl Sockets {
    /// Those that are open now.
    pub(super) fn open() -> Self {
        let entries = fs::read_dir("/proc/self/fd")
            .into_iter()
            .flatten()
            .flatten();
        let named = entries.filter_map(|entry| {
            let name = fs::read_link(entry.path()).ok()?.into_os_string();
            let descriptor = entry.file_name().to_str()?.parse().ok()?;
            name.to_str()?
                .starts_with("socket:")
                .then_some((name, descriptor))
        });
        Self(named.collect())
    }

    /// Lets the connections that were made since sleep while they wait. Where that cannot be done, only speed is lost.
    pub(super) fn let_newer_sleep(&self) {
        let now = Self::open();
        let newer = now.0.iter().filter(|(name, _)| !self.0.contains_key(*name));
        for (_, descriptor) in newer {
            // SAFETY: MLX's group, which lives as long as the process, owns the socket, and nothing is closed here.
            let socket = unsafe { BorrowedFd::borrow_raw(*descriptor) };
            let socket = SockRef::from(&socket);
            if socket
                .peer_addr()
                .is_ok_and(|address| address.as_socket().is_some())
            {
                let _ = socket.set_read_timeout(Some(SLEEP_MAX));
                let _ = socket.set_write_timeout(Some(SLEEP_MAX));
                let _ = socket.set_nonblocking(false);
            }
        }
    }
}
