//! `DeepSeek` V3 and R1: `function<｜tool▁sep｜>name`, then the arguments between fences; V3.1: `name<｜tool▁sep｜>{…}`. Either is
//! read from both.

use super::{Bare, Body, Head, Pair, Syntax};

const SEP: &str = "<｜tool▁sep｜>";
const FENCE: &str = "```json";

const SECTION: Option<Pair> = Some(Pair {
    open: "<｜tool▁calls▁begin｜>",
    close: "<｜tool▁calls▁end｜>",
});
const CALL: Pair = Pair {
    open: "<｜tool▁call▁begin｜>",
    close: "<｜tool▁call▁end｜>",
};

/// With fences.
pub const DEEPSEEK_V3: Syntax = Syntax {
    shown_by: &["<｜tool▁call▁begin｜>", FENCE],
    section: SECTION,
    call: CALL,
    body: Body::Json {
        written: Pair {
            open: "<｜tool▁call▁begin｜>function<｜tool▁sep｜>$name\n```json\n",
            close: "\n```<｜tool▁call▁end｜>",
        },
        head,
    },
    gap: "\n",
    section_break: "",
    separators: "",
    bare: Bare::Never,
    ends_thought: true,
    tokens: &[SEP],
    ends: &[],
};

/// Without.
pub const DEEPSEEK_V3_1: Syntax = Syntax {
    shown_by: &["<｜tool▁call▁begin｜>"],
    section: SECTION,
    call: CALL,
    body: Body::Json {
        written: Pair {
            open: "<｜tool▁call▁begin｜>$name<｜tool▁sep｜>",
            close: "<｜tool▁call▁end｜>",
        },
        head,
    },
    gap: "",
    section_break: "",
    separators: "",
    bare: Bare::Never,
    ends_thought: true,
    tokens: &[SEP],
    ends: &[],
};

fn head(head: &str) -> Head<'_> {
    let Some((before, after)) = head.split_once(SEP) else {
        return Head::Open;
    };
    let name = match (before.trim(), after.trim()) {
        ("function", after) => after.strip_suffix(FENCE).unwrap_or(after),
        (name, "" | FENCE) => name,
        _ => return Head::Open,
    };
    Head::Name(name.trim())
}
