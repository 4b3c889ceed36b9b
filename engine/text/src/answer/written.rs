//! Calls as a family writes them.

use base::ToolCall;
use serde_json::{Map, Value};

use super::family::{Body, Pair, Syntax, Tags};

/// The calls of an answer, of which some came before.
pub fn calls(syntax: &Syntax, calls: &[ToolCall], before: usize) -> String {
    let calls = calls.iter().enumerate();
    let written: Vec<String> = calls
        .map(|(at, call)| {
            let (open, close) = around(syntax, &call.name, &(before + at).to_string());
            let arguments = match &syntax.body {
                Body::Json { .. } | Body::Headed { .. } => call.arguments.clone(),
                Body::Tagged(tags) => {
                    let arguments: Map<String, Value> =
                        serde_json::from_str(&call.arguments).unwrap_or_default();
                    let arguments = arguments.iter();
                    arguments
                        .map(|(key, value)| argument(tags, key, value))
                        .collect()
                }
            };
            format!("{open}{arguments}{close}")
        })
        .collect();
    in_section(syntax, &written.join(syntax.gap))
}

/// An example with dots in the place of what differs.
pub fn example(syntax: &Syntax) -> String {
    calls(
        syntax,
        &[ToolCall {
            id: String::new(),
            name: "...".to_owned(),
            arguments: "{\"...\": \"...\"}".to_owned(),
        }],
        0,
    )
}

/// What stands around the arguments of a call.
pub fn around(syntax: &Syntax, name: &str, index: &str) -> (String, String) {
    let (open, close) = match &syntax.body {
        Body::Json { written, .. } | Body::Headed { written } => {
            (written.open.to_owned(), written.close.to_owned())
        }
        Body::Tagged(tags) => {
            let [after_name, ..] = tags.breaks;
            let Tags { name, end, .. } = tags;
            // A name with a tag of its own stands on a line of its own.
            let before_name = if end.is_empty() { "" } else { "\n" };
            let after_end = before_name;
            let Pair { open, close } = syntax.call;
            (
                format!(
                    "{open}{before_name}{}$name{}{after_name}",
                    name.open, name.close
                ),
                format!("{end}{after_end}{close}"),
            )
        }
    };
    (open.replace("$name", name).replace("$index", index), close)
}

/// What stands around the value of an argument; `is_text` where the tag says so.
pub fn around_value(tags: &Tags, key: &str, is_text: bool) -> (String, String) {
    let says = match (tags.says_kind, is_text) {
        (false, _) if tags.key.open.ends_with('"') => "\"",
        (false, _) => "",
        (true, true) => "\" string=\"true\"",
        (true, false) => "\" string=\"false\"",
    };
    let [_, after_key, after_value] = tags.breaks;
    let pad = if tags.is_padded { "\n" } else { "" };
    let Tags {
        key: name, value, ..
    } = tags;
    (
        format!(
            "{}{key}{says}{}{after_key}{}{pad}",
            name.open, name.close, value.open
        ),
        format!("{pad}{}{after_value}", value.close),
    )
}

/// All calls of an answer with what stands around them.
fn in_section(syntax: &Syntax, calls: &str) -> String {
    match syntax.section {
        Some(section) => {
            let gap = syntax.section_break;
            format!("{}{gap}{calls}{gap}{}", section.open, section.close)
        }
        None => calls.to_owned(),
    }
}

fn argument(tags: &Tags, key: &str, value: &Value) -> String {
    let (open, close) = around_value(tags, key, value.is_string());
    let value = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    format!("{open}{value}{close}")
}
