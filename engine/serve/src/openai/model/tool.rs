//! Tools in requests, and the formats an answer can be asked for. Schemas are kept as they were written: the order of their
//! fields is the order in which a model fills them.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::Object;

/// Something that the model may call.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolIn {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) function: Option<Object<FunctionIn>>,
}

/// A function.
#[derive(Debug, Deserialize)]
pub(crate) struct FunctionIn {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) parameters: Option<Box<RawValue>>,
    pub(crate) strict: Option<bool>,
}

/// Whether the model calls a tool: a word, or the name of one.
#[derive(Debug)]
pub(crate) enum ToolChoiceIn {
    /// `auto`, `none` or `required`.
    Word(String),
    /// A function by its name.
    Named(NamedChoice),
}

/// `{"type": "function", "function": {"name": …}}`.
#[derive(Debug, Deserialize)]
pub(crate) struct NamedChoice {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) function: Option<Object<FunctionIn>>,
}

/// A call that the model made before.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolCallIn {
    pub(crate) id: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) function: Option<Object<CalledFunction>>,
}

/// What it called.
#[derive(Debug, Deserialize)]
pub(crate) struct CalledFunction {
    pub(crate) name: Option<String>,
    /// The text of a JSON object.
    pub(crate) arguments: Option<String>,
}

/// How the answer is written.
#[derive(Debug, Deserialize)]
pub(crate) struct ResponseFormat {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) json_schema: Option<Object<NamedSchema>>,
}

/// A schema and what it is called.
#[derive(Debug, Deserialize)]
pub(crate) struct NamedSchema {
    pub(crate) schema: Option<Box<RawValue>>,
}

impl<'de> Deserialize<'de> for ToolChoiceIn {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfChoice;
        impl<'de> Visitor<'de> for OfChoice {
            type Value = ToolChoiceIn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an object with the name of a function")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<ToolChoiceIn, E> {
                Ok(ToolChoiceIn::Word(word.to_string()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ToolChoiceIn, A::Error> {
                let named = NamedChoice::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ToolChoiceIn::Named(named))
            }
        }
        json.deserialize_any(OfChoice)
    }
}
