//! The families on random tiny weights: however the work is cut (chunks, batches, ranks, slices), the logits are the same.
//! The numbers themselves are compared with mlx-lm's in `tests/parity.rs` of the workspace.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

mod ahead;
mod checkpoint;
mod files;
mod formats;
mod hostile;
mod newer;
mod packed;
mod ranks;
mod recurrent;
mod script;
mod sequences;
mod sharded;
mod speed;
mod windows;
