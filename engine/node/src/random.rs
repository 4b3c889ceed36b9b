//! Randomness from the system, for ids and secrets.

use base::{ErrorCode, Failure};

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| {
        let message = format!("the system gives no random numbers: {error}");
        Failure::new(ErrorCode::Internal, message)
    })?;
    Ok(bytes)
}

/// A random number.
pub(crate) fn u64() -> Result<u64, Failure> {
    bytes().map(u64::from_le_bytes)
}
