//! What clients send.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::Object;
use crate::openai::model::{Content, Count, Number, Part};

/// The fields of `POST /v1/responses` that mean something here; others are tolerated.
#[derive(Debug, Deserialize)]
pub(super) struct Fields {
    pub(super) model: Option<String>,
    pub(super) input: Option<Input>,
    pub(super) instructions: Option<String>,
    pub(super) previous_response_id: Option<String>,
    pub(super) store: Option<bool>,
    pub(super) stream: Option<bool>,
    pub(super) background: Option<bool>,
    pub(super) max_output_tokens: Option<Count>,
    pub(super) temperature: Option<Number>,
    pub(super) top_p: Option<Number>,
    pub(super) tools: Option<Vec<Object<ToolIn>>>,
    pub(super) tool_choice: Option<ToolChoiceIn>,
    pub(super) parallel_tool_calls: Option<bool>,
    pub(super) reasoning: Option<Object<ReasoningIn>>,
    pub(super) text: Option<Object<TextIn>>,
    pub(super) metadata: Option<BTreeMap<String, String>>,
    pub(super) conversation: Option<Box<RawValue>>,
    pub(super) prompt: Option<Box<RawValue>>,
}

/// What is said: words of the user, or items.
#[derive(Debug)]
pub(super) enum Input {
    Text(String),
    Items(Vec<Object<Item>>),
}

/// A message, a call, what came of it, or what was thought; which of them `type` says.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) id: Option<String>,
    pub(super) role: Option<String>,
    pub(super) content: Option<Content>,
    pub(super) call_id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
    pub(super) output: Option<Content>,
    pub(super) summary: Option<Vec<Object<Part>>>,
}

/// Something that the model may call.
#[derive(Debug, Deserialize)]
pub(super) struct ToolIn {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) parameters: Option<Box<RawValue>>,
    pub(super) strict: Option<bool>,
}

/// Whether it calls.
#[derive(Debug)]
pub(super) enum ToolChoiceIn {
    Word(String),
    Named {
        kind: Option<String>,
        name: Option<String>,
    },
}

/// How much the model thinks.
#[derive(Debug, Deserialize)]
pub(super) struct ReasoningIn {
    pub(super) effort: Option<String>,
}

/// How the answer is written.
#[derive(Debug, Deserialize)]
pub(super) struct TextIn {
    pub(super) format: Option<Object<FormatIn>>,
}

/// A format; here the schema stands beside its type.
#[derive(Debug, Deserialize)]
pub(super) struct FormatIn {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
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
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "type")]
            kind: Option<String>,
            name: Option<String>,
        }
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
                let Named { kind, name } = Named::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ToolChoiceIn::Named { kind, name })
            }
        }
        json.deserialize_any(OfChoice)
    }
}
