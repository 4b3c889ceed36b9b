//! A grammar as it was asked for, checked for its size and brought into `llguidance`'s form.

use base::Grammar;
use llguidance::api::TopLevelGrammar;
use serde_json::{Value, json};

use super::GrammarError;

/// Many times what an API's tools take together. It bounds what compiling takes: see [`super::STACK_BYTES`].
const BYTES_MAX: usize = 256 << 10;

/// White space between two tokens of JSON: a blank, or a line break and an indentation. With more a model that is made to
/// write JSON against its will writes blanks until its tokens are spent.
const JSON_SPACE: &str = r"(\x20|\x0A[\x20\x09]{0,20})";

/// The lengths of an address.
const ADDRESS: &str = r"^[^\x01@]{1,64}@[^\x01@]{1,255}$";

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
    let schema: Value = serde_json::from_str(text)?;
    Ok(TopLevelGrammar::from_json_schema(kept_to(schema)))
}

/// A JSON schema in the form that `llguidance` keeps to, for itself or within a Lark grammar as `%json`.
pub fn kept_to(mut schema: Value) -> Value {
    if schema == Value::Bool(true) {
        schema = json!({});
    }
    exact_patterns(&mut schema);
    exact_addresses(&mut schema);
    if let Some(schema) = schema.as_object_mut() {
        // The library's own options. One's own would let a schema say that it need not be kept.
        let options = json!({"whitespace_pattern": JSON_SPACE});
        schema.insert("x-guidance".to_owned(), options);
    }
    schema
}

/// Writes patterns so that they are followed exactly, see [`exact`].
fn exact_patterns(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(exact_patterns),
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("pattern", Value::String(pattern)) => *pattern = exact(pattern),
                    ("patternProperties", Value::Object(properties)) => {
                        let taken = std::mem::take(properties);
                        properties.extend(taken.into_iter().map(|(pattern, mut schema)| {
                            exact_patterns(&mut schema);
                            (exact(&pattern), schema)
                        }));
                    }
                    // Values, not schemas.
                    ("const" | "enum" | "default" | "examples", _) => {}
                    (_, value) => exact_patterns(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Before the `@` an address has 64 characters at most, and after it 255 (RFC 5321, 4.5.3.1).
fn exact_addresses(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(exact_addresses),
        Value::Object(fields) => {
            let is_address = fields.get("format").is_some_and(|format| format == "email");
            if is_address && !fields.contains_key("pattern") {
                fields.insert("pattern".to_owned(), Value::from(ADDRESS));
            }
            for (name, value) in fields {
                if !matches!(name.as_str(), "const" | "enum" | "default" | "examples") {
                    exact_addresses(value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A class of characters that has all control characters lets `derivre` 0.3 write `\"` and `\\` too, whether or not the
/// quote and the backslash are in it. So each class that says what it has not leaves out one that nobody wants.
fn exact(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut escaped = false;
    for character in pattern.chars() {
        let begins = character == '^' && !escaped && text.ends_with('[');
        text.push(character);
        if begins && !ends_in_the_middle_of_an_escape(&text[..text.len() - 2]) {
            text.push_str(r"\x01");
        }
        escaped = character == '\\' && !escaped;
    }
    text
}

/// A regular expression matches an answer as a whole, so marks of its beginning and end say nothing, and `llguidance`
/// does not know them.
pub fn unanchored(text: &str) -> &str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_leave_one_character_out() {
        for (pattern, expected) in [
            (r"^[^a]\[^b]$", r"^[^\x01a]\[^b]$"),
            (r"\\[^a]", r"\\[^\x01a]"),
            (r"[a^]^", r"[a^]^"),
        ] {
            assert_eq!(exact(pattern), expected);
        }
        let schema = json!({
            "properties": {"pattern": {"pattern": "[^a]"}}, "enum": [{"pattern": "[^a]"}],
            "patternProperties": {"[^b]": {"items": [{"pattern": "[^c]"}]}},
        });
        let mut kept = kept_to(schema);
        kept.as_object_mut().unwrap().remove("x-guidance");
        let expected = json!({
            "properties": {"pattern": {"pattern": r"[^\x01a]"}}, "enum": [{"pattern": "[^a]"}],
            "patternProperties": {r"[^\x01b]": {"items": [{"pattern": r"[^\x01c]"}]}},
        });
        assert_eq!(kept, expected);
    }
}
