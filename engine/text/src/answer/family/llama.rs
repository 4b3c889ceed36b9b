//! Llama 3.1 to 3.3: `{"name": …, "parameters": {…}}` as the whole answer, by some after `<|python_tag|>`; several with
//! semicolons between them.

use super::hermes::nothing;
use super::{Bare, Body, Pair, Syntax};

/// With a template of its makers.
pub const LLAMA: Syntax = Syntax {
    shown_by: &["\"parameters\": ", "<|start_header_id|>", "tool_calls"],
    section: None,
    call: Pair {
        open: "<|python_tag|>",
        close: "",
    },
    body: Body::Json {
        written: Pair {
            open: "{\"name\": \"$name\", \"parameters\": ",
            close: "}",
        },
        head: nothing,
    },
    gap: "; ",
    section_break: "",
    separators: ";,",
    bare: Bare::AtEdges,
    ends_thought: false,
    tokens: &[],
    ends: &["<|eom_id|>", "<|eot_id|>"],
};
