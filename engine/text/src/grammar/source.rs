//! A grammar as it was asked for, checked for its size and brought into `llguidance`'s form.

use base::Grammar;
use llguidance::api::TopLevelGrammar;
use serde_json::{Value, json};

use super::GrammarError;

/// Many times what an API's tools take together. It bounds what compiling takes: see [`super::STACK_BYTES`].
const BYTES_MAX: usize = 256 << 10;

/// White space between two tokens of JSON: a line break and an indentation, or as much. Without a limit a model that
/// is made to write JSON against its will can write blanks until its tokens are spent.
const JSON_SPACE: &str = r"[\x20\x0A\x0D\x09]{1,40}";

/// What is to be compiled.
pub struct Source {
    /// What it is called.
    pub kind: &'static str,
    /// In the library's form.
    pub grammar: TopLevelGrammar,
}

/// Reads a grammar, or says why it is none.
pub fn read(grammar: &Grammar) -> Result<Source, GrammarError> {
    let (kind, text) = match grammar {
        Grammar::JsonSchema(text) => ("JSON schema", text),
        Grammar::Regex(text) => ("regular expression", text),
        Grammar::Lark(text) => ("grammar", text),
    };
    if text.len() > BYTES_MAX {
        return Err(GrammarError::TooLong {
            kind,
            bytes: text.len(),
            max: BYTES_MAX,
        });
    }
    let grammar = match grammar {
        Grammar::JsonSchema(text) => json_schema(text).map_err(|reason| {
            let reason = reason.to_string();
            GrammarError::Unusable { kind, reason }
        })?,
        Grammar::Regex(text) => TopLevelGrammar::from_regex(unanchored(text)),
        Grammar::Lark(text) => TopLevelGrammar::from_lark(text.clone()),
    };
    Ok(Source { kind, grammar })
}

/// `serde_json` refuses what is nested more than 128 deep, so nothing that walks the schema runs out of stack.
fn json_schema(text: &str) -> Result<TopLevelGrammar, serde_json::Error> {
    let mut schema: Value = serde_json::from_str(text)?;
    if schema == Value::Bool(true) {
        schema = json!({});
    }
    if let Some(schema) = schema.as_object_mut() {
        // The library's own options. One's own would let a schema say that it need not be kept.
        let options = json!({"whitespace_pattern": JSON_SPACE});
        schema.insert("x-guidance".to_owned(), options);
    }
    Ok(TopLevelGrammar::from_json_schema(schema))
}

/// A regular expression matches an answer as a whole, so marks of its beginning and end say nothing, and `llguidance`
/// does not know them.
fn unanchored(text: &str) -> &str {
    let text = text.strip_prefix('^').unwrap_or(text);
    match text.strip_suffix('$') {
        Some(rest) if !ends_in_the_middle_of_an_escape(rest) => rest,
        Some(_) | None => text,
    }
}

fn ends_in_the_middle_of_an_escape(text: &str) -> bool {
    let slashes = text.bytes().rev().take_while(|byte| *byte == b'\\').count();
    !slashes.is_multiple_of(2)
}
