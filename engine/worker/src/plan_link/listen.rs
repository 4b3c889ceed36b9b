//! Rank 0's side: accepts the other ranks, and strangers no further than their first frames.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};

use base::Secret;
use wire::encode;
use wire::step::PlanFrame;

use super::{LINK_TIMEOUT, LinkError, handshake, prepare};

/// Handshakes under way at once, each a thread for at most two seconds. Strangers beyond are turned away unread; a rank
/// among them tries again.
const HANDSHAKES_MAX: usize = 32;

/// Between two looks at the listener: what an arriving rank waits at most.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Rank 0's links to all other ranks, by rank from 1.
pub struct Links {
    streams: Vec<TcpStream>,
}

/// Waits for every other rank at `address`.
pub fn listen(address: SocketAddr, secret: Secret, world: u32) -> Result<Links, LinkError> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + LINK_TIMEOUT;
    // As many as there are threads that send, so none ever waits.
    let (sender, proven) = mpsc::sync_channel(HANDSHAKES_MAX);
    let mut handshakes = 0;
    let mut last = String::from("nobody connected");
    let mut streams: Vec<Option<TcpStream>> = (1..world).map(|_| None).collect();
    while streams.iter().any(Option::is_none) {
        if Instant::now() >= deadline {
            let here = 1 + streams.iter().flatten().count() as u32;
            return Err(LinkError::Missing { here, world, last });
        }
        match listener.accept() {
            Ok((stream, _)) if handshakes < HANDSHAKES_MAX => {
                handshakes += usize::from(begin(stream, secret, world, &sender));
            }
            // One too many, dropped; or none; or one that was gone before it was taken.
            Ok(_) | Err(_) => {}
        }
        for outcome in proven.try_iter() {
            handshakes -= 1;
            match outcome {
                Ok((rank, stream)) => {
                    // The first to prove a rank has it: a second would be a defect of a node, and not both can compute.
                    let place: &mut Option<TcpStream> = &mut streams[rank as usize - 1];
                    place.get_or_insert(stream);
                }
                Err(error) => last = LinkError::to_string(&error),
            }
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(Links {
        streams: streams.into_iter().flatten().collect(),
    })
}

type Outcome = Result<(u32, TcpStream), LinkError>;

/// Begins a handshake on its own thread; whether it could.
fn begin(
    mut stream: TcpStream,
    secret: Secret,
    world: u32,
    outcomes: &SyncSender<Outcome>,
) -> bool {
    let outcomes = outcomes.clone();
    let handshake = move || {
        let outcome = stream
            .set_nonblocking(false)
            .map_err(LinkError::from)
            .and_then(|()| handshake::accept(&mut stream, &secret, world))
            .and_then(|rank| prepare(&stream).map(|()| rank));
        // An error means that all ranks are here and nobody waits for more.
        let _ = outcomes.send(outcome.map(|rank| (rank, stream)));
    };
    std::thread::Builder::new().spawn(handshake).is_ok()
}

impl Links {
    /// No links: the only rank.
    pub fn none() -> Self {
        Self {
            streams: Vec::new(),
        }
    }

    /// Sends a frame to every other rank.
    pub fn send(&mut self, frame: &PlanFrame) -> Result<(), LinkError> {
        if self.streams.is_empty() {
            return Ok(());
        }
        let bytes = encode(frame)?;
        for stream in &mut self.streams {
            stream.write_all(&bytes)?;
        }
        Ok(())
    }

    /// The connections, to break them.
    #[cfg(test)]
    pub fn streams_for_tests(&self) -> &[TcpStream] {
        &self.streams
    }

    /// Watches every link on its own thread; `lost` is called with the rank whose link ended. Other ranks never speak
    /// after their handshake, so whatever comes is the end too.
    pub fn watch(&self, lost: impl Fn(u32) + Clone + Send + 'static) -> Result<(), LinkError> {
        for (index, stream) in self.streams.iter().enumerate() {
            let mut stream = stream.try_clone()?;
            let lost = lost.clone();
            std::thread::Builder::new()
                .name(format!("link {}", index + 1))
                .spawn(move || {
                    let _ = stream.read(&mut [0]);
                    lost(index as u32 + 1);
                })?;
        }
        Ok(())
    }
}
