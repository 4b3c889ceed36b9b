//! `MiniMax` M2: `<invoke name="…"><parameter name="…">…</parameter></invoke>` within `<minimax:tool_call>`.

use super::{Bare, Body, Pair, Syntax, Tags};

pub const MINIMAX: Syntax = Syntax {
    shown_by: &["<minimax:tool_call>", "<invoke name="],
    section: Some(Pair {
        open: "<minimax:tool_call>",
        close: "</minimax:tool_call>",
    }),
    call: Pair {
        open: "<invoke ",
        close: "</invoke>",
    },
    body: Body::Tagged(Tags {
        name: Pair {
            open: "name=\"",
            close: "\">",
        },
        key: Pair {
            open: "<parameter name=\"",
            close: ">",
        },
        value: Pair {
            open: "",
            close: "</parameter>",
        },
        end: "",
        is_padded: false,
        says_kind: false,
        breaks: ["\n", "", "\n"],
    }),
    gap: "\n",
    section_break: "\n",
    separators: "",
    bare: Bare::Never,
    ends_thought: false,
    tokens: &[],
    ends: &[],
};
