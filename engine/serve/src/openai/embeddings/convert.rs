//! From a request's bytes to a validated [`EmbedRequest`]. Pure; the first fault found is the one reported.

use base::{EmbedInput, EmbedRequest, Failure, RequestId, Standing};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::openai::convert::{invalid, missing, model};
use crate::openai::model::{Count, Prompts};
use crate::standing;

/// A request as it was understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) request: EmbedRequest,
    pub(super) encoding: Encoding,
    /// How many of a vector's first elements are wanted, at least 1; `None` for all.
    pub(super) dimensions: Option<usize>,
}

/// How a vector is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As numbers.
    Float,
    /// As the Base64 of its elements, each a little-endian `f32`.
    Base64,
}

/// The fields of a request. `user` says nothing to this server.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::EmbeddingsFields)]
struct Fields {
    #[schema(value_type = String, required, min_length = 1, example = "sprout")]
    model: Option<String>,
    #[schema(value_type = Prompts, required)]
    input: Option<Prompts>,
    encoding_format: Option<String>,
    dimensions: Option<Count>,
}

/// Texts or tokens to make vectors of. Fields that are not known are passed over.
#[expect(dead_code, reason = "described, and read in parts")]
#[derive(ToSchema)]
#[schema(as = openai::EmbeddingsRequest)]
pub(super) struct EmbeddingsRequest {
    #[serde(flatten)]
    fields: Fields,
    #[serde(flatten)]
    standing: standing::Fields,
}

/// Understands the body of `POST /v1/embeddings`.
pub(super) fn parse(body: &[u8], id: RequestId) -> Result<Asked, Failure> {
    let fields: Fields = crate::json::parse(body)?;
    let model = model(fields.model)?;
    let inputs = inputs(fields.input)?;
    let encoding = match fields.encoding_format.as_deref() {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => {
            let message = "encoding_format must be float or base64";
            return Err(invalid(message, "encoding_format"));
        }
    };
    let dimensions = fields.dimensions.map(|Count(count)| count as usize);
    if dimensions == Some(0) {
        return Err(invalid("dimensions must be at least 1", "dimensions"));
    }
    Ok(Asked {
        request: EmbedRequest {
            id,
            standing: Standing::default(),
            model,
            inputs,
            truncate: false,
            context_tokens: None,
            keep_alive: None,
        },
        encoding,
        dimensions,
    })
}

fn inputs(input: Option<Prompts>) -> Result<Vec<EmbedInput>, Failure> {
    let inputs: Vec<EmbedInput> = match input.ok_or_else(|| missing("input"))? {
        Prompts::Texts(texts) => texts.into_iter().map(EmbedInput::Text).collect(),
        Prompts::Tokens(lists) => lists.into_iter().map(EmbedInput::Tokens).collect(),
    };
    let is_empty = |input: &EmbedInput| match input {
        EmbedInput::Text(text) => text.is_empty(),
        EmbedInput::Tokens(tokens) => tokens.is_empty(),
    };
    if inputs.is_empty() || inputs.iter().any(is_empty) {
        let failure = invalid("there is nothing to embed in a part of input", "input");
        return Err(failure.hint("send texts that are not empty, or lists with at least one token"));
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn inputs_of(input: &str) -> Vec<EmbedInput> {
        let body = format!(r#"{{"model": "m", "input": {input}}}"#);
        parse(body.as_bytes(), RequestId(1)).unwrap().request.inputs
    }

    #[track_caller]
    fn refused(fields: &str, expected: &Expect) {
        let body = format!(r#"{{"model": "m"{fields}}}"#);
        let failure = parse(body.as_bytes(), RequestId(1)).unwrap_err();
        let param = failure.param.as_deref().unwrap_or("-");
        expected.assert_eq(&format!("{param} | {}", failure.message));
    }

    #[test]
    fn an_input_has_four_forms() {
        let text = |text: &str| EmbedInput::Text(text.into());
        assert_eq!(inputs_of(r#""a""#), [text("a")]);
        assert_eq!(inputs_of(r#"["a", "b"]"#), [text("a"), text("b")]);
        let tokens = |tokens: &[u32]| EmbedInput::Tokens(tokens.to_vec());
        assert_eq!(inputs_of("[1, 2]"), [tokens(&[1, 2])]);
        assert_eq!(inputs_of("[[1, 2], [3]]"), [tokens(&[1, 2]), tokens(&[3])]);
    }

    #[test]
    fn a_request_with_everything() {
        let body = br#"{"model": "m", "input": "a", "encoding_format": "base64", "dimensions": 2, "user": "u"}"#;
        let asked = parse(body, RequestId(7)).unwrap();
        assert_eq!(
            (asked.encoding, asked.dimensions),
            (Encoding::Base64, Some(2))
        );
        assert_eq!(asked.request.id, RequestId(7));
        assert!(!asked.request.truncate);
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_its_place() {
        refused("", &expect!["input | input is required"]);
        let nothing = expect!["input | there is nothing to embed in a part of input"];
        for input in [r#""""#, "[]", r#"["a", ""]"#, "[[1], []]"] {
            refused(&format!(r#", "input": {input}"#), &nothing);
        }
        refused(
            r#", "input": {"a": 1}"#,
            &expect![
                "input | input: invalid type: map, expected a string, a list of strings, a list of token ids or a list of such lists"
            ],
        );
        let many = serde_json::to_string(&vec!["x"; 2049]).unwrap();
        refused(
            &format!(r#", "input": {many}"#),
            &expect!["input | input: at most 2048 texts are allowed"],
        );
        refused(
            r#", "input": "a", "encoding_format": "int8""#,
            &expect!["encoding_format | encoding_format must be float or base64"],
        );
        refused(
            r#", "input": "a", "dimensions": 0"#,
            &expect!["dimensions | dimensions must be at least 1"],
        );
    }
}
