//! `DeepSeek` V3.2 and V4: tags with a mark in them, which say of each argument whether it is text.

use super::{Bare, Body, Pair, Syntax, Tags};

/// V3.2.
pub const DEEPSEEK_V3_2: Syntax = Syntax {
    shown_by: &["｜DSML｜", "function_calls>"],
    section: Some(Pair {
        open: "<｜DSML｜function_calls>",
        close: "</｜DSML｜function_calls>",
    }),
    call: Pair {
        open: "<｜DSML｜invoke ",
        close: "</｜DSML｜invoke>",
    },
    body: Body::Tagged(TAGS),
    gap: "\n",
    section_break: "\n",
    separators: "",
    bare: Bare::Never,
    ends_thought: true,
    tokens: &["｜DSML｜"],
    ends: &[],
};

/// V4: all calls stand between other tags.
pub const DEEPSEEK_V4: Syntax = Syntax {
    shown_by: &["｜DSML｜", "tool_calls>"],
    section: Some(Pair {
        open: "<｜DSML｜tool_calls>",
        close: "</｜DSML｜tool_calls>",
    }),
    call: Pair {
        open: "<｜DSML｜invoke ",
        close: "</｜DSML｜invoke>",
    },
    body: Body::Tagged(TAGS),
    gap: "\n",
    section_break: "\n",
    separators: "",
    bare: Bare::Never,
    ends_thought: true,
    tokens: &["｜DSML｜"],
    ends: &[],
};

const TAGS: Tags = Tags {
    name: Pair {
        open: "name=\"",
        close: "\">",
    },
    key: Pair {
        open: "<｜DSML｜parameter name=\"",
        close: ">",
    },
    value: Pair {
        open: "",
        close: "</｜DSML｜parameter>",
    },
    end: "",
    is_padded: false,
    says_kind: true,
    breaks: ["\n", "", "\n"],
};
