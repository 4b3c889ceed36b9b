//! Zhipu's GLM 4.5 and later: the name, then `<arg_key>` and `<arg_value>` for each argument, within `<tool_call>`.

use super::{Bare, Body, Pair, Syntax, Tags};

pub const GLM: Syntax = Syntax {
    shown_by: &["<tool_call>", "<arg_key>", "<arg_value>"],
    section: None,
    call: Pair {
        open: "<tool_call>",
        close: "</tool_call>",
    },
    body: Body::Tagged(Tags {
        name: Pair {
            open: "",
            close: "",
        },
        key: Pair {
            open: "<arg_key>",
            close: "</arg_key>",
        },
        value: Pair {
            open: "<arg_value>",
            close: "</arg_value>",
        },
        end: "",
        is_padded: false,
        says_kind: false,
        breaks: ["\n", "\n", "\n"],
    }),
    gap: "\n",
    section_break: "",
    separators: "",
    bare: Bare::Never,
    ends_thought: false,
    tokens: &[],
    ends: &["<|observation|>", "<|user|>"],
};
