//! Nous Research's Hermes, Qwen 2.5, Qwen 3 and many others: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

use super::{Bare, Body, Head, Pair, Syntax};

pub const HERMES: Syntax = Syntax {
    shown_by: &["<tool_call>", "tools"],
    section: None,
    call: Pair {
        open: "<tool_call>",
        close: "</tool_call>",
    },
    body: Body::Json {
        written: Pair {
            open: "<tool_call>\n{\"name\": \"$name\", \"arguments\": ",
            close: "}\n</tool_call>",
        },
        head: nothing,
    },
    gap: "\n",
    section_break: "",
    separators: "",
    bare: Bare::Never,
    ends_thought: false,
    tokens: &[],
    ends: &[],
};

/// The name is within the object.
pub fn nothing(head: &str) -> Head<'_> {
    if head.trim().is_empty() {
        Head::Object
    } else {
        Head::None
    }
}
