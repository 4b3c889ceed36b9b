//! Tools in requests, and the formats an answer can be asked for. Schemas are kept as they were written: the order of their
//! fields is the order in which a model fills them.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::json::Object;
use crate::openai::custom::FormatIn;

/// Something that the model may call.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::Tool)]
pub(crate) struct ToolIn {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    #[schema(value_type = Option<FunctionIn>)]
    pub(crate) function: Option<Object<FunctionIn>>,
    #[schema(value_type = Option<CustomIn>)]
    pub(crate) custom: Option<Object<CustomIn>>,
}

/// A tool that takes text.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::CustomTool)]
pub(crate) struct CustomIn {
    #[schema(value_type = String, required)]
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    #[schema(value_type = Option<FormatIn>)]
    pub(crate) format: Option<Object<FormatIn>>,
}

/// A function.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::FunctionTool)]
pub(crate) struct FunctionIn {
    #[schema(value_type = String, required)]
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(crate) parameters: Option<Box<RawValue>>,
    pub(crate) strict: Option<bool>,
}

/// Whether the model calls a tool: a word, or the name of one.
#[derive(Debug)]
pub(crate) enum ToolChoiceIn {
    /// `auto`, `none` or `required`.
    Word(String),
    /// A tool by its name, or some of them.
    Named(NamedChoice),
}

/// `{"type": "function", "function": {"name": …}}`, the same with `custom`, or `allowed_tools`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ToolNamed)]
pub(crate) struct NamedChoice {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    #[schema(value_type = Option<Named>)]
    pub(crate) function: Option<Object<Named>>,
    #[schema(value_type = Option<Named>)]
    pub(crate) custom: Option<Object<Named>>,
    #[schema(value_type = Option<AllowedTools>)]
    pub(crate) allowed_tools: Option<Object<AllowedTools>>,
}

/// A tool's name. In `function_call` it stands alone.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ToolName)]
pub(crate) struct Named {
    pub(crate) name: Option<String>,
}

/// Only these may be called.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::AllowedTools)]
pub(crate) struct AllowedTools {
    pub(crate) mode: Option<String>,
    #[schema(value_type = Option<Vec<NamedChoice>>, no_recursion)]
    pub(crate) tools: Option<Vec<Object<NamedChoice>>>,
}

/// What came before `tool_choice`: a word or a name.
#[derive(Debug)]
pub(crate) enum FunctionChoice {
    /// `auto` or `none`.
    Word(String),
    /// `{"name": …}`.
    Named(Named),
}

/// A call that the model made before.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ToolCallBefore)]
pub(crate) struct ToolCallIn {
    pub(crate) id: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    #[schema(value_type = Option<CalledFunction>)]
    pub(crate) function: Option<Object<CalledFunction>>,
    #[schema(value_type = Option<CalledCustom>)]
    pub(crate) custom: Option<Object<CalledCustom>>,
}

/// A tool that was called with text.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::CalledCustomBefore)]
pub(crate) struct CalledCustom {
    pub(crate) name: Option<String>,
    pub(crate) input: Option<String>,
}

/// What it called.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::CalledFunctionBefore)]
pub(crate) struct CalledFunction {
    pub(crate) name: Option<String>,
    /// The text of a JSON object.
    pub(crate) arguments: Option<String>,
}

/// How the answer is written.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ResponseFormat)]
pub(crate) struct ResponseFormat {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    #[schema(value_type = Option<NamedSchema>)]
    pub(crate) json_schema: Option<Object<NamedSchema>>,
    /// As llama.cpp has it, beside `json_object`.
    #[schema(value_type = Option<Object>)]
    pub(crate) schema: Option<Box<RawValue>>,
}

/// A schema and what it is called.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::NamedSchema)]
pub(crate) struct NamedSchema {
    #[schema(value_type = Option<Object>)]
    pub(crate) schema: Option<Box<RawValue>>,
}

impl<'de> Deserialize<'de> for ToolChoiceIn {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        word_or_object(json, Self::Word, Self::Named)
    }
}

impl<'de> Deserialize<'de> for FunctionChoice {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        word_or_object(json, Self::Word, Self::Named)
    }
}

/// Reads a choice that is a word or an object.
pub(crate) fn word_or_object<'de, D: Deserializer<'de>, T: Deserialize<'de>, C>(
    json: D,
    word: fn(String) -> C,
    object: fn(T) -> C,
) -> Result<C, D::Error> {
    struct OfChoice<T, C>(fn(String) -> C, fn(T) -> C);
    impl<'de, T: Deserialize<'de>, C> Visitor<'de> for OfChoice<T, C> {
        type Value = C;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or an object with the name of a function")
        }
        fn visit_str<E: Error>(self, word: &str) -> Result<C, E> {
            Ok(self.0(word.to_string()))
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<C, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(self.1)
        }
    }
    json.deserialize_any(OfChoice(word, object))
}
