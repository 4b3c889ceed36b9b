//! What an answer must be: `response_format`, and vLLM's `structured_outputs` for what `OpenAI` has no words for.

use base::{Failure, Grammar};
use serde_json::value::RawValue;

use super::refuse::{invalid, missing, unsupported};
use crate::json::Object;
use crate::openai::model::{ResponseFormat, StructuredOutputs};

/// Choices of one request.
const CHOICES_MAX: usize = 1024;

/// Any JSON object.
const OBJECT: &str = r#"{"type":"object"}"#;

pub(super) fn response_format(
    format: Option<Object<ResponseFormat>>,
) -> Result<Option<Grammar>, Failure> {
    let Some(Object(format)) = format else {
        return Ok(None);
    };
    let kind = format.kind.ok_or_else(|| missing("response_format.type"))?;
    let named = format.json_schema.map(|Object(named)| named);
    if kind == "json_schema" && named.is_none() {
        return Err(missing("response_format.json_schema"));
    }
    let schema = named.and_then(|named| named.schema).or(format.schema);
    self::format(
        &kind,
        schema,
        "response_format",
        "response_format.json_schema.schema",
    )
}

/// What a format's type and schema ask for; they stand at `at` and `schema_at`.
pub(in crate::openai) fn format(
    kind: &str,
    schema: Option<Box<RawValue>>,
    at: &str,
    schema_at: &str,
) -> Result<Option<Grammar>, Failure> {
    match kind {
        "text" => Ok(None),
        "json_object" => Ok(Some(match schema {
            Some(schema) => schema_of(&schema, at)?,
            None => Grammar::JsonSchema(OBJECT.to_owned()),
        })),
        "json_schema" => {
            let schema = schema.ok_or_else(|| missing(schema_at))?;
            Ok(Some(schema_of(&schema, schema_at)?))
        }
        other => Err(unsupported(&format!("answers of the type {other} are"), at)),
    }
}

fn schema_of(schema: &RawValue, at: &str) -> Result<Grammar, Failure> {
    let text = schema.get();
    // `true` is a schema too: of any JSON.
    if text.starts_with('{') || text == "true" {
        return Ok(Grammar::JsonSchema(text.to_owned()));
    }
    Err(invalid(
        format!("{at} must be a JSON Schema, which is an object"),
        at,
    ))
}

pub(super) fn structured_outputs(
    wanted: Option<Object<StructuredOutputs>>,
) -> Result<Option<Grammar>, Failure> {
    let Some(Object(wanted)) = wanted else {
        return Ok(None);
    };
    let at = "structured_outputs";
    let json = wanted
        .json
        .map(|schema| schema_of(&schema, at))
        .transpose()?;
    let choice = wanted.choice.as_deref().map(one_of).transpose()?;
    let regex = wanted.regex.map(Grammar::Regex);
    let grammar = wanted.grammar.map(Grammar::Lark);
    let mut given = [json, choice, regex, grammar].into_iter().flatten();
    match (given.next(), given.next()) {
        (grammar, None) => Ok(grammar),
        (_, Some(_)) => Err(invalid(
            "structured_outputs takes one of json, regex, choice and grammar",
            at,
        )),
    }
}

fn one_of(choices: &[String]) -> Result<Grammar, Failure> {
    let at = "structured_outputs.choice";
    if choices.is_empty() || choices.len() > CHOICES_MAX || choices.iter().any(String::is_empty) {
        let message = format!("{at} must have 1 to {CHOICES_MAX} strings, none of them empty");
        return Err(invalid(message, at));
    }
    let quoted = choices
        .iter()
        .map(|choice| serde_json::Value::from(choice.as_str()).to_string());
    let quoted: Vec<String> = quoted.collect();
    Ok(Grammar::Lark(format!("start: {}", quoted.join(" | "))))
}

/// The grammar of the whole request; only one thing can be wanted.
pub(super) fn grammar(
    format: Option<Grammar>,
    structured: Option<Grammar>,
) -> Result<Option<Grammar>, Failure> {
    if format.is_some() && structured.is_some() {
        let message = "response_format and structured_outputs both say what the answer must be";
        return Err(invalid(message, "structured_outputs").hint("leave out one of them"));
    }
    Ok(format.or(structured))
}
