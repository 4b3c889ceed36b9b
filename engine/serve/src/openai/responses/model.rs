//! What clients send.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::json::Object;
use crate::openai::custom::FormatIn as CustomFormat;
use crate::openai::model::{Content, Count, Number, Part, word_or_object};

/// The fields of `POST /v1/responses` that mean something here; others are tolerated.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ResponseFields)]
pub(super) struct Fields {
    #[schema(value_type = String, required, min_length = 1, example = "sprout")]
    pub(super) model: Option<String>,
    #[schema(value_type = Input, required)]
    pub(super) input: Option<Input>,
    pub(super) instructions: Option<String>,
    pub(super) previous_response_id: Option<String>,
    pub(super) store: Option<bool>,
    pub(super) stream: Option<bool>,
    pub(super) background: Option<bool>,
    pub(super) max_output_tokens: Option<Count>,
    pub(super) temperature: Option<Number>,
    pub(super) top_p: Option<Number>,
    /// As Open Responses has it.
    pub(super) frequency_penalty: Option<Number>,
    /// As Open Responses has it.
    pub(super) presence_penalty: Option<Number>,
    #[schema(value_type = Option<Vec<ToolIn>>)]
    pub(super) tools: Option<Vec<Object<ToolIn>>>,
    pub(super) tool_choice: Option<ToolChoiceIn>,
    pub(super) parallel_tool_calls: Option<bool>,
    #[schema(value_type = Option<ReasoningIn>)]
    pub(super) reasoning: Option<Object<ReasoningIn>>,
    #[schema(value_type = Option<TextIn>)]
    pub(super) text: Option<Object<TextIn>>,
    pub(super) include: Option<Vec<String>>,
    pub(super) top_logprobs: Option<Count>,
    pub(super) truncation: Option<String>,
    pub(super) metadata: Option<BTreeMap<String, String>>,
    #[schema(value_type = Option<Value>)]
    pub(super) conversation: Option<Box<RawValue>>,
    #[schema(value_type = Option<Value>)]
    pub(super) prompt: Option<Box<RawValue>>,
}

/// What is said: words of the user, or items.
#[derive(Debug)]
pub(super) enum Input {
    Text(String),
    Items(Vec<Object<Item>>),
}

/// A message, a call, what came of it, or what was thought; which of them `type` says.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ResponseItemBefore)]
pub(super) struct Item {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) id: Option<String>,
    pub(super) role: Option<String>,
    pub(super) content: Option<Content>,
    pub(super) call_id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
    /// Of a tool that takes text.
    pub(super) input: Option<String>,
    pub(super) output: Option<Content>,
    #[schema(value_type = Option<Vec<Part>>)]
    pub(super) summary: Option<Vec<Object<Part>>>,
    pub(super) encrypted_content: Option<String>,
}

/// Something that the model may call.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ResponseTool)]
pub(super) struct ToolIn {
    #[serde(rename = "type")]
    #[schema(value_type = String, required)]
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(super) parameters: Option<Box<RawValue>>,
    pub(super) strict: Option<bool>,
    /// Of a tool that takes text.
    #[schema(value_type = Option<CustomFormat>)]
    pub(super) format: Option<Object<CustomFormat>>,
}

/// Whether it calls.
#[derive(Debug)]
pub(super) enum ToolChoiceIn {
    Word(String),
    Named(ToolNamed),
}

/// A tool by its kind and name, or some of them.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ResponseToolNamed)]
pub(super) struct ToolNamed {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    pub(super) mode: Option<String>,
    #[schema(value_type = Option<Vec<ToolNamed>>, no_recursion)]
    pub(super) tools: Option<Vec<Object<Self>>>,
}

/// How much the model thinks.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = openai::ResponseReasoning)]
pub(super) struct ReasoningIn {
    pub(super) effort: Option<String>,
    pub(super) summary: Option<String>,
}

/// How the answer is written.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ResponseText)]
pub(super) struct TextIn {
    #[schema(value_type = Option<FormatIn>)]
    pub(super) format: Option<Object<FormatIn>>,
}

/// A format; here the schema stands beside its type.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ResponseTextFormat)]
pub(super) struct FormatIn {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(super) schema: Option<Box<RawValue>>,
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfInput;
        impl<'de> Visitor<'de> for OfInput {
            type Value = Input;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of items")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Input, E> {
                Ok(Input::Text(text.to_string()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Input, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Input::Items(items))
            }
        }
        json.deserialize_any(OfInput)
    }
}

impl<'de> Deserialize<'de> for ToolChoiceIn {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        word_or_object(json, Self::Word, Self::Named)
    }
}
