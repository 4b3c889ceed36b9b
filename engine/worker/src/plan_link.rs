//! The direct connections on which rank 0 sends each step's plan to the other ranks.
//!
//! They are made before anything else, each side proves that it knows the plan's secret, and from then on each is
//! watched: a rank that is gone ends this process too, wherever its device thread is.

mod connect;
mod handshake;
mod listen;

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use wire::step::PlanFrame;
use wire::{Decoder, FrameError};

pub use connect::{connect, receive};
pub use listen::{Links, listen};

/// For all ranks to be linked. Their nodes start their workers when all have reserved their ports, within a second of
/// each other; half a minute is a machine that wakes up or swaps.
pub const LINK_TIMEOUT: Duration = Duration::from_secs(30);

/// For the three frames of a handshake: two round trips and three hashes. A stranger holds a connection for so long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// For a plan to leave: the other rank's reader takes it off the socket even while its device computes, until a few
/// plans wait. A rank that is this far behind is stuck.
const SEND_TIMEOUT: Duration = Duration::from_mins(1);

/// Why a link was not made or is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The other side sent no frame.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The other side closed it.
    #[error("it was closed")]
    Closed,
    /// The other side did not prove that it belongs to the plan.
    #[error("the other side did not prove that it belongs to this plan")]
    Unproven,
    /// The other side said something out of turn.
    #[error("something came out of turn")]
    OutOfTurn,
    /// Not all ranks came.
    #[error("only {here} of {world} ranks came within {} s (last: {last})", LINK_TIMEOUT.as_secs())]
    Missing {
        /// How many are here, this one included.
        here: u32,
        /// How many there should be.
        world: u32,
        /// What the last failed attempt failed of.
        last: String,
    },
}

/// The next frame, or an error when `deadline` has passed. Only so many bytes as came are kept.
fn read_frame(
    stream: &mut TcpStream,
    decoder: &mut Decoder,
    deadline: Instant,
) -> Result<PlanFrame, LinkError> {
    // A handshake frame fits, and no more is taken from a stranger at once.
    let mut chunk = [0; wire::step::HANDSHAKE_BYTES_MAX];
    loop {
        if let Some(frame) = decoder.next()? {
            return Ok(frame);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => return Err(LinkError::Closed),
            count => decoder.push(&chunk[..count]),
        }
    }
}

/// Makes a proven connection ready for plans: small frames leave at once, and a rank that takes none is noticed.
fn prepare(stream: &TcpStream) -> Result<(), LinkError> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok(())
}

#[cfg(test)]
mod tests;
