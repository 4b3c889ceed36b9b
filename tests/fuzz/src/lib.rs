//! What the fuzz targets share.

use wire::{Decoder, Frame, PROTOCOL_VERSION, encode};

/// Reads `bytes` as a stream, and as the body of one frame of each kind asked for. What is taken must survive the way
/// back: no input may mean something that can't be sent.
pub fn decode<F: Frame + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    drain::<F>(bytes);
    let length = (bytes.len() as u32 + 1).to_le_bytes();
    drain::<F>(&[&length[..], &[PROTOCOL_VERSION], bytes].concat());
}

fn drain<F: Frame + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let mut decoder = Decoder::new(F::BYTES_MAX);
    decoder.push(bytes);
    while let Ok(Some(frame)) = decoder.next::<F>() {
        let mut again = Decoder::new(F::BYTES_MAX);
        again.push(&encode(&frame).expect("what was read can be written"));
        assert_eq!(again.next::<F>().as_ref(), Ok(&Some(frame)));
    }
}
