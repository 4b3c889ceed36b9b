//! Frames that another node sends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::peer::{Events, Generate, PeerFrame};

fuzz_target!(|bytes: &[u8]| {
    fuzz::decode::<PeerFrame>(bytes);
    fuzz::decode::<Generate>(bytes);
    fuzz::decode::<Events>(bytes);
});
