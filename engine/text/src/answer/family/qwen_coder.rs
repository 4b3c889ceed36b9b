//! Qwen 3 Coder and Qwen 3.5: `<function=name>` and a `<parameter=key>` for each argument, within `<tool_call>`.

use super::{Bare, Body, Pair, Syntax, Tags};

pub const QWEN_CODER: Syntax = Syntax {
    shown_by: &["<tool_call>", "<function=", "<parameter="],
    section: None,
    call: Pair {
        open: "<tool_call>",
        close: "</tool_call>",
    },
    body: Body::Tagged(tags(true)),
    gap: "\n",
    section_break: "",
    separators: "",
    bare: Bare::Never,
    ends_thought: false,
    tokens: &[],
    ends: &[],
};

/// `is_padded`: each value stands on lines of its own.
pub const fn tags(is_padded: bool) -> Tags {
    Tags {
        name: Pair {
            open: "<function=",
            close: ">",
        },
        key: Pair {
            open: "<parameter=",
            close: ">",
        },
        value: Pair {
            open: "",
            close: "</parameter>",
        },
        end: "</function>",
        is_padded,
        says_kind: false,
        breaks: ["\n", "", "\n"],
    }
}
