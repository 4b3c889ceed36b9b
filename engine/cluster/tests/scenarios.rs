//! The crate from outside: placements against brute force, lives of instances step by step, whole clusters in
//! virtual time.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes its strings so"
)]

#[cfg(test)]
mod scenarios {
    mod fetching;
    mod lifecycle;
    mod make;
    mod placement;
    mod room;
    mod simulation;
}
