//! stdout: one thread that encodes and writes, so that the device thread does neither.

use std::io::Write;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use wire::worker::FromWorker;

/// Frames that wait to be written: two seconds of steps at the fastest. The node reads all the time, whatever its clients
/// do; if it does not, the device thread waits here, because a worker that nobody hears has nothing to hurry for.
const FRAMES_WAITING_MAX: usize = 256;

/// Sends frames to the node. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    sender: SyncSender<Message>,
}

enum Message {
    Frame(FromWorker),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

impl Outbox {
    /// Starts the thread that writes to `output`.
    pub fn start(output: impl Write + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::sync_channel(FRAMES_WAITING_MAX);
        std::thread::Builder::new()
            .name("stdout".into())
            .spawn(move || write_all(output, &receiver))
            .expect("a process that has just started can start a thread");
        Self { sender }
    }

    /// Sends a frame, waiting for room.
    pub fn send(&self, frame: FromWorker) {
        // An error means that stdout is closed, so the node is gone: stdin says the same and ends the process.
        let _ = self.sender.send(Message::Frame(frame));
    }

    /// Sends a last frame and waits until it is written, in all no longer than `timeout`.
    pub fn send_last(&self, frame: Option<FromWorker>, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let (written, is_written) = mpsc::sync_channel(1);
        let last = frame.map(Message::Frame);
        for message in last.into_iter().chain([Message::Flush(written)]) {
            if !self.send_until(message, deadline) {
                return;
            }
        }
        let _ = is_written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }

    fn send_until(&self, mut message: Message, deadline: Instant) -> bool {
        loop {
            match self.sender.try_send(message) {
                Ok(()) => return true,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => message = back,
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn write_all(mut output: impl Write, receiver: &Receiver<Message>) {
    while let Ok(message) = receiver.recv() {
        let frame = match message {
            Message::Frame(frame) => frame,
            Message::Flush(written) => {
                let _ = written.send(());
                continue;
            }
        };
        let bytes = match wire::encode(&frame) {
            Ok(bytes) => bytes,
            Err(error) => {
                // Limits are chosen so that no frame is too long; the panic hook says it and ends the process.
                panic!("a frame could not be written: {error}");
            }
        };
        if output
            .write_all(&bytes)
            .and_then(|()| output.flush())
            .is_err()
        {
            return;
        }
    }
}
