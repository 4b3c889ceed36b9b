//! `gpt-oss`: an answer is a row of messages, each with a heading that names its channel and, if it is a call, whom
//! it is for: `<|channel|>commentary to=functions.name <|constrain|>json<|message|>{…}<|call|>`.
//!
//! The format's own library, `openai-harmony`, works on tokens of one vocabulary, which it fetches. Text of any
//! tokenizer that has the marks is read here instead, and the heading is all that has to be understood for it.

use super::{Bare, Body, Pair, Syntax};

/// What stands between the parts.
pub const MARKS: [&str; 7] = [
    "<|start|>",
    "<|channel|>",
    "<|constrain|>",
    "<|message|>",
    "<|end|>",
    "<|call|>",
    "<|return|>",
];

pub const HARMONY: Syntax = Syntax {
    shown_by: &["<|channel|>", "<|message|>", "functions."],
    section: None,
    call: Pair {
        open: "<|channel|>",
        close: "<|call|>",
    },
    body: Body::Headed {
        written: Pair {
            open: "<|channel|>commentary to=functions.$name <|constrain|>json<|message|>",
            close: "<|call|>",
        },
    },
    gap: "",
    section_break: "",
    separators: "",
    bare: Bare::Never,
    ends_thought: true,
    tokens: &MARKS,
    ends: &["<|call|>", "<|return|>"],
};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heading<'a> {
    /// What the model thinks.
    Thought,
    /// What it says.
    Said,
    /// A call of this tool.
    Call(&'a str),
}

/// Reads a heading: all up to `<|message|>`.
pub fn heading(text: &str) -> Heading<'_> {
    if let Some((_, recipient)) = text.split_once("to=functions.") {
        let end = recipient.find(|c: char| c.is_whitespace() || c == '<');
        return Heading::Call(&recipient[..end.unwrap_or(recipient.len())]);
    }
    let channel = text
        .split_once("<|channel|>")
        .map_or("", |(_, after)| after);
    if channel.trim_start().starts_with("analysis") {
        Heading::Thought
    } else {
        Heading::Said
    }
}
