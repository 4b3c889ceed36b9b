//! stdin: one thread that reads and decodes. It outlives every wait of the device thread.

use std::io::Read;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use base::Failure;
use wire::worker::{FRAME_BYTES_MAX, ToWorker};
use wire::{Decoder, FrameError};

use crate::outbox::Outbox;
use crate::{end, failure};

/// Frames that wait for the device thread, which takes them all before every step: more than a node can have under
/// way with the default limits, so the reader is free to see the end of stdin at any time.
const FRAMES_WAITING_MAX: usize = 1024;

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Frames from the node.
pub struct Inbox {
    receiver: Receiver<ToWorker>,
}

impl Inbox {
    /// Starts the thread that reads `input`. It ends the process when the input ends, when `Stop` comes or when what
    /// comes is no frame.
    pub fn start(input: impl Read + Send + 'static, outbox: Outbox) -> Self {
        let (sender, receiver) = mpsc::sync_channel(FRAMES_WAITING_MAX);
        std::thread::Builder::new()
            .name("stdin".into())
            .spawn(move || match read_all(input, &sender) {
                // The node is gone or wants no more. The device thread may be in the middle of a step that waits for
                // another rank and can't be interrupted, so the process ends here: nothing in it needs saving.
                Ok(()) => end::silent(),
                Err(error) => end::fatal(&outbox, failure::protocol(&error.to_string())),
            })
            .expect("a process that has just started can start a thread");
        Self { receiver }
    }

    /// The first frame.
    pub fn first(&self, timeout: Duration) -> Result<ToWorker, Failure> {
        self.receiver.recv_timeout(timeout).map_err(|error| {
            failure::protocol(match error {
                RecvTimeoutError::Timeout => "nothing, though it waited",
                RecvTimeoutError::Disconnected => "nothing",
            })
        })
    }

    /// The next frame, if it is there by then. `None` waits for ever, which stdin's end interrupts.
    pub fn wait(&self, timeout: Option<Duration>) -> Option<ToWorker> {
        match timeout {
            Some(timeout) => self.receiver.recv_timeout(timeout).ok(),
            None => self.receiver.recv().ok(),
        }
    }

    /// The next frame, if it is there.
    pub fn try_next(&self) -> Option<ToWorker> {
        self.receiver.try_recv().ok()
    }
}

fn read_all(mut input: impl Read, frames: &SyncSender<ToWorker>) -> Result<(), FrameError> {
    let mut decoder = Decoder::new(FRAME_BYTES_MAX);
    let mut chunk = vec![0; READ_BYTES];
    loop {
        match input.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => decoder.push(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Ok(()),
        }
        while let Some(frame) = decoder.next()? {
            if frame == ToWorker::Stop || frames.send(frame).is_err() {
                return Ok(());
            }
        }
    }
}
