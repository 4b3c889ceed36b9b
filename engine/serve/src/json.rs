//! From the bytes of a request's body to a struct, with errors that say where in the body they are.

use std::fmt;
use std::marker::PhantomData;

use base::{ErrorCode, Failure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

/// A message that quotes a wrong value is cut here: the value may be the whole body.
const SAID_CHARS_MAX: usize = 240;

/// A struct that is written as a JSON object. Without it serde takes a list of the fields' values for one as well.
#[derive(Debug, Default)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfObject<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfObject<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        json.deserialize_map(OfObject(PhantomData))
    }
}

/// Reads the whole of `body` as one JSON object.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let Object(value) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refused(&path, error.inner())
    })?;
    json.end().map_err(|error| refused(".", &error))?;
    Ok(value)
}

/// Reads a part of a body that was kept as it is written, found at the path `at`, as one JSON object.
pub(crate) fn parse_part<T: DeserializeOwned>(part: &RawValue, at: &str) -> Result<T, Failure> {
    let mut json = serde_json::Deserializer::from_str(part.get());
    let read = serde_path_to_error::deserialize(&mut json);
    let Object(value) = read.map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => at.to_string(),
            inside => format!("{at}.{inside}"),
        };
        refused(&path, error.inner())
    })?;
    Ok(value)
}

fn refused(path: &str, error: &serde_json::Error) -> Failure {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let said = error.to_string();
    let said = without_text(said.strip_suffix(&place).unwrap_or(&said));
    let what = shortened(&said);
    match error.classify() {
        Category::Data if path == "." => {
            Failure::new(ErrorCode::InvalidRequest, format!("the body: {what}"))
        }
        Category::Data => {
            Failure::new(ErrorCode::InvalidRequest, format!("{path}: {what}")).param(path)
        }
        Category::Syntax | Category::Eof | Category::Io => Failure::new(
            ErrorCode::InvalidRequest,
            format!("the body is not valid JSON: {what}{place}"),
        ),
    }
}

/// The kind of a wrong value without its text, which may be somebody's prompt: what is said here is logged and listed.
fn without_text(said: &str) -> String {
    const BEGINS: &str = "string \"";
    let Some(at) = said.find(BEGINS) else {
        return said.to_string();
    };
    let (before, text) = said.split_at(at + BEGINS.len() - 1);
    let mut escaped = false;
    // The first quotation mark is where it begins.
    let end = text[1..].find(|character| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    });
    // It is always closed; were it not, all of it would be text.
    let after = end.map_or("", |end| &text[end + 2..]);
    format!("{}{after}", before.trim_end())
}

fn shortened(said: &str) -> String {
    match said.char_indices().nth(SAID_CHARS_MAX) {
        Some((end, _)) => format!("{} …", &said[..end]),
        None => said.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[derive(Debug, Deserialize)]
    struct Body {
        #[expect(dead_code, reason = "only its type matters here")]
        messages: Vec<Object<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its type matters here")]
        text: String,
    }

    #[track_caller]
    fn check(body: &str, expected: &Expect) {
        let failure = parse::<Body>(body.as_bytes()).unwrap_err();
        let param = failure.param.as_deref().unwrap_or("-");
        expected.assert_eq(&format!("{param} | {}", failure.message));
    }

    #[test]
    fn an_error_says_where_it_is() {
        check(
            "",
            &expect![
                "- | the body is not valid JSON: EOF while parsing a value at line 1 column 0"
            ],
        );
        check(
            "{\"messages\": [\n{\"text\" \"x\"}]}",
            &expect!["- | the body is not valid JSON: expected `:` at line 2 column 9"],
        );
        check(
            "{\"messages\": [{\"text\": 7}]}",
            &expect![
                "messages[0].text | messages[0].text: invalid type: integer `7`, expected a string"
            ],
        );
        check(
            "{\"messages\": []} more",
            &expect!["- | the body is not valid JSON: trailing characters at line 1 column 18"],
        );
        check(
            "[]",
            &expect!["- | the body: invalid type: sequence, expected an object"],
        );
        check(
            "{\"messages\": [[\"x\"]]}",
            &expect!["messages[0] | messages[0]: invalid type: sequence, expected an object"],
        );
        check(
            "7",
            &expect!["- | the body: invalid type: integer `7`, expected an object"],
        );
        check(
            &"[".repeat(1000),
            &expect!["- | the body: invalid type: sequence, expected an object"],
        );
        check(
            &format!("{{\"messages\": \"{}\"}}", "é".repeat(1000)),
            &expect!["messages | messages: invalid type: string, expected a sequence"],
        );
    }

    #[test]
    fn no_text_of_a_wrong_value_is_said() {
        let said = without_text(r#"invalid type: string "a \"secret\" \\", expected a sequence"#);
        assert_eq!(said, "invalid type: string, expected a sequence");
        assert_eq!(
            without_text("invalid type: integer `1`"),
            "invalid type: integer `1`"
        );
        assert_eq!(without_text(r#"string "never closed"#), "string");
    }
}
