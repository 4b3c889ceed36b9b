//! Frames over a worker's pipes. Generic over the pipe, so that tests need no process.
//!
//! Two tasks that never wait for each other: were the reader to wait for the writer, a worker that writes before it
//! reads would hang both.

use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire::codec::{Decoder, FrameError, encode};
use wire::worker::{FRAME_BYTES_MAX, FromWorker, ToWorker};

/// Frames waiting to be written to a worker. A worker takes new requests between two steps; this many prompts in
/// one step's time is more than any client load that the worker's own limit lets through.
const UNWRITTEN_FRAMES_MAX: usize = 64;
/// A worker reads its frames between two steps. One that has not read for this long is stuck: the longest step is a
/// chunk of prefill, well under a second on anything that is fit to run the model.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// One read: large enough for the events of a step of a full batch, small enough not to matter when idle.
const READ_BYTES: usize = 32 << 10;

/// Why no more frames come from a worker.
#[derive(Debug, Error)]
pub(crate) enum PipeError {
    /// The bytes are not frames.
    #[error("the worker sent what is no frame: {0}")]
    Frame(#[from] FrameError),
    /// The pipe broke.
    #[error("the worker's pipe broke: {0}")]
    Io(#[from] std::io::Error),
}

/// Why a frame was not taken for writing.
#[derive(Debug, Error)]
pub(crate) enum WriteError {
    /// Too many are waiting.
    #[error("the worker does not keep up")]
    Full,
    /// The worker is gone.
    #[error("the worker is gone")]
    Gone,
    /// It can't be said in a frame.
    #[error(transparent)]
    Encode(#[from] FrameError),
}

/// Reads frames from a worker's standard output.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    pipe: R,
    decoder: Decoder,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(pipe: R) -> Self {
        Self {
            pipe,
            decoder: Decoder::new(FRAME_BYTES_MAX),
            buffer: vec![0; READ_BYTES],
        }
    }

    /// The next frame, `None` at the end. Cancel-safe: bytes are in the decoder as soon as they are read.
    pub(crate) async fn next(&mut self) -> Result<Option<FromWorker>, PipeError> {
        loop {
            if let Some(frame) = self.decoder.next()? {
                return Ok(Some(frame));
            }
            let count = self.pipe.read(&mut self.buffer).await?;
            if count == 0 {
                return Ok(None);
            }
            self.decoder.push(&self.buffer[..count]);
        }
    }
}

/// Queues frames for a worker's standard input. Dropping the last clone closes the pipe, which ends the worker.
#[derive(Debug, Clone)]
pub(crate) struct FrameWriter {
    frames: mpsc::Sender<Vec<u8>>,
}

impl FrameWriter {
    /// Starts the task that writes. It ends when all writers are dropped, the pipe breaks or the worker stops reading.
    pub(crate) fn start<W>(mut pipe: W) -> (Self, JoinHandle<()>)
    where
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let (frames, mut queue) = mpsc::channel::<Vec<u8>>(UNWRITTEN_FRAMES_MAX);
        let task = tokio::spawn(async move {
            while let Some(frame) = queue.recv().await {
                let write = async {
                    pipe.write_all(&frame).await?;
                    pipe.flush().await
                };
                match timeout(WRITE_LIMIT, write).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a worker's standard input is closed");
                        return;
                    }
                    Err(_) => {
                        tracing::warn!("a worker has not read its frames for {WRITE_LIMIT:?}");
                        return;
                    }
                }
            }
        });
        (Self { frames }, task)
    }

    /// Queues a frame; never waits.
    pub(crate) fn write(&self, frame: &ToWorker) -> Result<(), WriteError> {
        let bytes = encode(frame)?;
        self.frames.try_send(bytes).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => WriteError::Full,
            mpsc::error::TrySendError::Closed(_) => WriteError::Gone,
        })
    }

    /// Returns when nothing can be written any more.
    pub(crate) async fn closed(&self) {
        self.frames.closed().await;
    }
}
