//! Frames out of an HTTP/2 body, one after another, capped, never more in memory than one frame and one window.

use std::marker::PhantomData;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use thiserror::Error;
use wire::{Decoder, Frame, FrameError};

/// Why no further frame can be read.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// The connection or the stream broke.
    #[error("the stream broke: {0}")]
    Broken(#[from] hyper::Error),
    /// What came is no frame.
    #[error("a frame is malformed: {0}")]
    Malformed(#[from] FrameError),
}

/// Reads frames from a body. Waiting for the next one may be given up and begun again.
pub(crate) struct FrameReader<F> {
    body: Incoming,
    decoder: Decoder,
    kind: PhantomData<fn() -> F>,
}

impl<F: Frame> FrameReader<F> {
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body,
            decoder: Decoder::new(F::BYTES_MAX),
            kind: PhantomData,
        }
    }

    /// The next frame; `None` at the body's end.
    pub(crate) async fn next(&mut self) -> Result<Option<F>, ReadError> {
        loop {
            if let Some(frame) = self.decoder.next()? {
                return Ok(Some(frame));
            }
            match self.body.frame().await {
                Some(piece) => {
                    if let Ok(data) = piece?.into_data() {
                        self.decoder.push(&data);
                    }
                }
                None => return Ok(None),
            }
        }
    }
}
