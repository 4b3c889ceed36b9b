//! [`base::Failure`] on the wire.

use std::time::Duration;

use base::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::codec::Invalid;
use crate::collection::Text;

/// Longest message or hint in bytes; longer ones are cut.
const WORDS_BYTES_MAX: usize = 4096;

/// A failure; the code is its position in [`ErrorCode::ALL`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    code: u8,
    message: Text<WORDS_BYTES_MAX>,
    hint: Option<Text<WORDS_BYTES_MAX>>,
    param: Option<Text<WORDS_BYTES_MAX>>,
    retry_after_s: Option<u32>,
}

impl From<&base::Failure> for Failure {
    fn from(failure: &base::Failure) -> Self {
        let position = ErrorCode::ALL
            .iter()
            .position(|code| *code == failure.code)
            .expect("ALL holds every code");
        Self {
            code: position as u8,
            message: Text::cut(&failure.message),
            hint: failure.hint.as_deref().map(Text::cut),
            param: failure.param.as_deref().map(Text::cut),
            retry_after_s: failure
                .retry_after
                .map(|pause| u32::try_from(pause.as_secs()).unwrap_or(u32::MAX)),
        }
    }
}

impl TryFrom<Failure> for base::Failure {
    type Error = Invalid;

    fn try_from(wire: Failure) -> Result<Self, Invalid> {
        let code = ErrorCode::ALL
            .get(usize::from(wire.code))
            .ok_or(Invalid("an unknown error code"))?;
        Ok(Self {
            code: *code,
            message: wire.message.0,
            hint: wire.hint.map(|text| text.0),
            param: wire.param.map(|text| text.0),
            retry_after: wire
                .retry_after_s
                .map(|seconds| Duration::from_secs(u64::from(seconds))),
        })
    }
}
