//! Frames between a node and its worker, and between workers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::step::PlanFrame;
use wire::worker::{FromWorker, ToWorker};

fuzz_target!(|bytes: &[u8]| {
    fuzz::decode::<ToWorker>(bytes);
    fuzz::decode::<FromWorker>(bytes);
    fuzz::decode::<PlanFrame>(bytes);
});
