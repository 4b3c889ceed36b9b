//! Seed OSS: as Qwen's coder, within tags of its own.

use super::qwen_coder::{QWEN_CODER, tags};
use super::{Body, Pair, Syntax};

pub const SEED: Syntax = Syntax {
    shown_by: &["<seed:tool_call>", "<function="],
    call: Pair {
        open: "<seed:tool_call>",
        close: "</seed:tool_call>",
    },
    body: Body::Tagged(tags(false)),
    ..QWEN_CODER
};
