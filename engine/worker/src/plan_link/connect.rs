//! The other ranks' side: connects to rank 0 and receives its plans.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

use base::Secret;
use wire::Decoder;
use wire::step::{FRAME_BYTES_MAX, PlanFrame};

use super::{LINK_TIMEOUT, LinkError, handshake, prepare};

/// Between two attempts: rank 0's worker starts at the same moment as this one, a few milliseconds before or after.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// For one attempt. A packet that is lost is sent again after a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Plans that wait for the device thread. Rank 0 needs this rank's part of a step before it plans the next, so there is
/// at most one, and those of steps that only free slots.
const PLANS_WAITING_MAX: usize = 8;

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Connects to rank 0 at `address` as `rank`.
pub fn connect(
    address: SocketAddr,
    secret: &Secret,
    rank: u32,
    world: u32,
) -> Result<TcpStream, LinkError> {
    let deadline = Instant::now() + LINK_TIMEOUT;
    loop {
        let error = match attempt(address, secret, rank, world) {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        // Whoever answers wrongly may be a worker of the plan before, about to end on the same port.
        if Instant::now() >= deadline {
            return Err(LinkError::Missing {
                here: 1,
                world,
                last: error.to_string(),
            });
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
}

fn attempt(
    address: SocketAddr,
    secret: &Secret,
    rank: u32,
    world: u32,
) -> Result<TcpStream, LinkError> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    stream.set_nodelay(true)?;
    handshake::connect(&mut stream, secret, rank, world)?;
    prepare(&stream)?;
    Ok(stream)
}

/// Reads rank 0's frames on their own thread; `lost` is called when the link ends, whatever the device thread does.
pub fn receive(
    stream: TcpStream,
    lost: impl FnOnce(LinkError) + Send + 'static,
) -> Result<Receiver<PlanFrame>, LinkError> {
    let (sender, receiver) = mpsc::sync_channel(PLANS_WAITING_MAX);
    std::thread::Builder::new()
        .name("link 0".into())
        .spawn(move || lost(read_all(stream, &sender)))?;
    Ok(receiver)
}

fn read_all(mut stream: TcpStream, frames: &SyncSender<PlanFrame>) -> LinkError {
    let mut decoder = Decoder::new(FRAME_BYTES_MAX);
    let mut chunk = vec![0; READ_BYTES];
    loop {
        loop {
            match decoder.next() {
                Ok(Some(frame)) => {
                    if frames.send(frame).is_err() {
                        return LinkError::Closed;
                    }
                }
                Ok(None) => break,
                Err(error) => return error.into(),
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) => return LinkError::Closed,
            Ok(count) => decoder.push(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return error.into(),
        }
    }
}
