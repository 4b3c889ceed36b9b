//! The codec: `u32 length (LE) | u8 protocol version | postcard body`; length counts version and body.
//!
//! Nothing is allocated from a length field: the decoder holds the bytes that came and no more, refuses a frame over
//! its cap at the first four bytes, and refuses another version at the fifth.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Raised with every change of a frame that an older build would misread.
pub const PROTOCOL_VERSION: u8 = 10;

/// Bytes of the length field.
const HEADER_BYTES: usize = 4;

/// An emptied buffer above this is given back, so that one long frame does not stay for the life of a connection.
const BUFFER_KEPT_BYTES: usize = 64 << 10;

/// Something that travels as a frame.
pub trait Frame: Sized {
    /// Longest frame of this kind in bytes, version and body; the sender refuses to make a longer one.
    const BYTES_MAX: usize;
    /// Its serialized form.
    type Body: Serialize + DeserializeOwned;
    /// To the serialized form.
    fn to_body(&self) -> Self::Body;
    /// From the serialized form, checking what its types cannot say.
    fn from_body(body: Self::Body) -> Result<Self, Invalid>;
}

/// A body whose types are right and whose values are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

/// Why bytes are no frame. The stream that carried them is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than the cap.
    #[error("a frame of {bytes} bytes is over the limit of {bytes_max}")]
    TooLong {
        /// What the length field says, or what the value would take.
        bytes: usize,
        /// The cap.
        bytes_max: usize,
    },
    /// Too short to hold a version.
    #[error("a frame without a version")]
    Empty,
    /// Written by another version.
    #[error(
        "a frame of protocol version {theirs}, this is version {PROTOCOL_VERSION} (hint: run the same version of Espalier everywhere)"
    )]
    Version {
        /// The version it names.
        theirs: u8,
    },
    /// The body does not parse, or a value cannot be written.
    #[error("a frame that does not parse: {0}")]
    Body(postcard::Error),
    /// The body is followed by bytes that belong to nothing.
    #[error("a frame with {bytes} bytes too many")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The body parses to something that cannot be.
    #[error("a frame that makes no sense: {0}")]
    Invalid(#[from] Invalid),
}

/// The bytes of a frame.
pub fn encode<F: Frame>(frame: &F) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes.push(PROTOCOL_VERSION);
    let mut bytes = postcard::to_extend(&frame.to_body(), bytes).map_err(FrameError::Body)?;
    let length = bytes.len() - HEADER_BYTES;
    if length > F::BYTES_MAX {
        return Err(FrameError::TooLong {
            bytes: length,
            bytes_max: F::BYTES_MAX,
        });
    }
    bytes[..HEADER_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes at the front that were taken already.
    taken: usize,
    bytes_max: usize,
}

impl Decoder {
    /// A decoder that refuses frames longer than `bytes_max` (version and body).
    pub fn new(bytes_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            taken: 0,
            bytes_max,
        }
    }

    /// Adds bytes that came. Call [`Self::next`] until it yields nothing before adding more: then the buffer never holds
    /// more than one frame and what was read with its end.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > BUFFER_KEPT_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes held that belong to no complete frame yet, those of complete frames not yet taken included.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len() - self.taken
    }

    /// The next frame, or `None` until more bytes come. An error is final: asked again, it is given again.
    #[expect(
        clippy::should_implement_trait,
        reason = "which frame comes next is the caller's to say, so it is no iterator"
    )]
    pub fn next<F: Frame>(&mut self) -> Result<Option<F>, FrameError> {
        let Some((header, rest)) = self.buffer[self.taken..].split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*header) as usize;
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > self.bytes_max {
            return Err(FrameError::TooLong {
                bytes: length,
                bytes_max: self.bytes_max,
            });
        }
        let Some(&theirs) = rest.first() else {
            return Ok(None);
        };
        if theirs != PROTOCOL_VERSION {
            return Err(FrameError::Version { theirs });
        }
        let Some(body) = rest.get(1..length) else {
            return Ok(None);
        };
        let (body, trailing) = postcard::take_from_bytes(body).map_err(FrameError::Body)?;
        if !trailing.is_empty() {
            return Err(FrameError::Trailing {
                bytes: trailing.len(),
            });
        }
        let frame = F::from_body(body)?;
        self.taken += HEADER_BYTES + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Word(String);

    impl Frame for Word {
        const BYTES_MAX: usize = 16;
        type Body = String;
        fn to_body(&self) -> String {
            self.0.clone()
        }
        fn from_body(body: String) -> Result<Self, Invalid> {
            Ok(Self(body))
        }
    }

    fn decode(bytes: &[u8]) -> Result<Option<String>, FrameError> {
        let mut decoder = Decoder::new(Word::BYTES_MAX);
        decoder.push(bytes);
        Ok(decoder.next::<Word>()?.map(|word| word.0))
    }

    #[test]
    fn frames_survive_any_cut_of_the_stream() {
        let words = ["", "tree", "espalier"];
        let stream: Vec<u8> = words
            .iter()
            .flat_map(|word| encode(&Word((*word).into())).unwrap())
            .collect();
        for cut in 1..stream.len() {
            let mut decoder = Decoder::new(Word::BYTES_MAX);
            let mut read = Vec::new();
            for chunk in stream.chunks(cut) {
                decoder.push(chunk);
                while let Some(word) = decoder.next::<Word>().unwrap() {
                    read.push(word.0);
                }
            }
            assert_eq!(read, words, "chunks of {cut}");
            assert_eq!(decoder.buffered_bytes(), 0);
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_as_soon_as_it_shows() {
        let too_long = FrameError::TooLong {
            bytes: 17,
            bytes_max: 16,
        };
        assert_eq!(decode(&[17, 0, 0, 0]), Err(too_long.clone()));
        assert_eq!(decode(&[0, 0, 0, 0]), Err(FrameError::Empty));
        assert_eq!(
            decode(&[9, 0, 0, 0, PROTOCOL_VERSION + 1]),
            Err(FrameError::Version {
                theirs: PROTOCOL_VERSION + 1
            })
        );
        let trailing = [4, 0, 0, 0, PROTOCOL_VERSION, 1, b'a', b'b'];
        assert_eq!(decode(&trailing), Err(FrameError::Trailing { bytes: 1 }));
        let cut_short = [2, 0, 0, 0, PROTOCOL_VERSION, 200];
        assert!(matches!(decode(&cut_short), Err(FrameError::Body(_))));
        assert_eq!(
            encode(&Word("fifteen letters".into())).unwrap_err(),
            too_long
        );
    }

    #[test]
    fn an_error_is_final() {
        let mut decoder = Decoder::new(Word::BYTES_MAX);
        decoder.push(&[0, 0, 0, 0]);
        decoder.push(&encode(&Word("late".into())).unwrap());
        for _ in 0..2 {
            assert!(matches!(decoder.next::<Word>(), Err(FrameError::Empty)));
        }
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let mut decoder = Decoder::new(usize::MAX);
        decoder.push(&[0xff, 0xff, 0xff, 0x7f, PROTOCOL_VERSION]);
        assert!(decoder.next::<Word>().is_ok_and(|word| word.is_none()));
        assert!(decoder.buffer.capacity() < 64);
    }
}
