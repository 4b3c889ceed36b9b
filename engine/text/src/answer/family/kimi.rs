//! Moonshot's Kimi K2: `functions.name:index` before the arguments, calls counted through the whole conversation.

use super::{Bare, Body, Head, Pair, Syntax};

const ARGUMENTS: &str = "<|tool_call_argument_begin|>";

pub const KIMI: Syntax = Syntax {
    shown_by: &["<|tool_call_begin|>", ARGUMENTS],
    section: Some(Pair {
        open: "<|tool_calls_section_begin|>",
        close: "<|tool_calls_section_end|>",
    }),
    call: Pair {
        open: "<|tool_call_begin|>",
        close: "<|tool_call_end|>",
    },
    body: Body::Json {
        written: Pair {
            open: "<|tool_call_begin|>functions.$name:$index<|tool_call_argument_begin|>",
            close: "<|tool_call_end|>",
        },
        head,
    },
    gap: "",
    section_break: "",
    separators: "",
    bare: Bare::Never,
    ends_thought: true,
    tokens: &[ARGUMENTS],
    ends: &[],
};

fn head(head: &str) -> Head<'_> {
    let Some((id, after)) = head.split_once(ARGUMENTS) else {
        return Head::Open;
    };
    let id = id.trim();
    let name = id.strip_prefix("functions.").unwrap_or(id);
    let name = match name.rsplit_once(':') {
        Some((name, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => name,
    };
    if after.trim().is_empty() {
        Head::Name(name)
    } else {
        Head::None
    }
}
