//! Mistral: `[TOOL_CALLS]name[ARGS]{…}` for each call since the end of 2024, some with `[CALL_ID]…` before `[ARGS]`; before
//! that one `[TOOL_CALLS][{"name": …, "arguments": {…}}, …]`. Either is read from both.

use super::{Bare, Body, Head, Pair, Syntax};

const ARGS: &str = "[ARGS]";
const CALL_ID: &str = "[CALL_ID]";

pub const MISTRAL: Syntax = Syntax {
    shown_by: &["[TOOL_CALLS]", ARGS],
    section: None,
    call: Pair {
        open: "[TOOL_CALLS]",
        close: "",
    },
    body: Body::Json {
        written: Pair {
            open: "[TOOL_CALLS]$name[ARGS]",
            close: "",
        },
        head,
    },
    gap: "",
    section_break: "",
    separators: ",]",
    bare: Bare::AfterCall,
    ends_thought: false,
    tokens: &[ARGS, CALL_ID],
    ends: &[],
};

/// The older form.
pub const MISTRAL_LIST: Syntax = Syntax {
    shown_by: &["[TOOL_CALLS]"],
    section: Some(Pair {
        open: "[TOOL_CALLS][",
        close: "]",
    }),
    call: Pair {
        open: "[TOOL_CALLS]",
        close: "",
    },
    body: Body::Json {
        written: Pair {
            open: "{\"name\": \"$name\", \"arguments\": ",
            close: "}",
        },
        head,
    },
    gap: ", ",
    section_break: "",
    separators: ",",
    bare: Bare::AfterCall,
    ends_thought: false,
    tokens: &[ARGS, CALL_ID],
    ends: &[],
};

fn head(head: &str) -> Head<'_> {
    let head = head.trim();
    if head.is_empty() || head == "[" {
        return Head::Object;
    }
    let name = head.split('[').next().unwrap_or_default().trim();
    match &head[name.len()..] {
        _ if name.is_empty() => Head::None,
        // Some leave the mark out.
        "" | ARGS => Head::Name(name),
        rest if rest.starts_with(CALL_ID) && rest.ends_with(ARGS) => Head::Name(name),
        rest if ARGS.starts_with(rest)
            || rest.starts_with(CALL_ID)
            || CALL_ID.starts_with(rest) =>
        {
            Head::Open
        }
        _ => Head::None,
    }
}
