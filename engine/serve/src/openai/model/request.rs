//! The fields of requests. The body is read once for what both endpoints share and once for what each has alone.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::json::Object;

use super::described::Role;
use super::scalar::{Count, Number, Prompts, Seed, Shallow, Strings};
use super::tool::{
    CalledFunction, FunctionChoice, FunctionIn, ResponseFormat, ToolCallIn, ToolChoiceIn, ToolIn,
};

/// What chat and plain completions have in common.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::GenerationFields)]
pub(crate) struct SharedFields {
    #[schema(value_type = String, required, min_length = 1, example = "sprout")]
    pub(crate) model: Option<String>,
    pub(crate) max_tokens: Option<Count>,
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 2)]
    pub(crate) temperature: Option<Number>,
    #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 1)]
    pub(crate) top_p: Option<Number>,
    /// As other servers have it: 0 and -1 keep all tokens.
    pub(crate) top_k: Option<Number>,
    /// As other servers have it.
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 1)]
    pub(crate) min_p: Option<Number>,
    pub(crate) seed: Option<Seed>,
    pub(crate) stop: Option<Strings>,
    /// As other servers have it.
    pub(crate) stop_token_ids: Option<Vec<Count>>,
    /// As other servers have it: for benchmarks.
    pub(crate) ignore_eos: Option<bool>,
    pub(crate) stream: Option<bool>,
    #[schema(value_type = Option<StreamOptions>)]
    pub(crate) stream_options: Option<Object<StreamOptions>>,
    pub(crate) n: Option<Count>,
    #[schema(value_type = Option<f64>, minimum = -2, maximum = 2)]
    pub(crate) frequency_penalty: Option<Number>,
    #[schema(value_type = Option<f64>, minimum = -2, maximum = 2)]
    pub(crate) presence_penalty: Option<Number>,
    /// As other servers have it.
    #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 10)]
    pub(crate) repetition_penalty: Option<Number>,
    /// By token id, written as text.
    pub(crate) logit_bias: Option<BTreeMap<String, Number>>,
    /// As vLLM has it.
    #[schema(value_type = Option<StructuredOutputs>)]
    pub(crate) structured_outputs: Option<Object<StructuredOutputs>>,
}

/// What the answer must be, besides `response_format`. One of them.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::StructuredOutputs)]
pub(crate) struct StructuredOutputs {
    #[schema(value_type = Option<Value>)]
    pub(crate) json: Option<Box<RawValue>>,
    pub(crate) regex: Option<String>,
    pub(crate) choice: Option<Vec<String>>,
    pub(crate) grammar: Option<String>,
}

/// How to stream.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::StreamOptions)]
pub(crate) struct StreamOptions {
    pub(crate) include_usage: Option<bool>,
}

/// What only chat has.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ChatFields)]
pub(crate) struct ChatFields {
    #[schema(value_type = Vec<MessageIn>, required, min_items = 1)]
    pub(crate) messages: Option<Vec<Object<MessageIn>>>,
    pub(crate) max_completion_tokens: Option<Count>,
    pub(crate) logprobs: Option<bool>,
    pub(crate) top_logprobs: Option<Count>,
    #[schema(value_type = Option<Vec<ToolIn>>)]
    pub(crate) tools: Option<Vec<Object<ToolIn>>>,
    pub(crate) tool_choice: Option<ToolChoiceIn>,
    pub(crate) parallel_tool_calls: Option<bool>,
    /// As tools were called before.
    #[schema(value_type = Option<Vec<FunctionIn>>)]
    pub(crate) functions: Option<Vec<Object<FunctionIn>>>,
    /// As `tool_choice` was called before.
    pub(crate) function_call: Option<FunctionChoice>,
    #[schema(value_type = Option<ResponseFormat>)]
    pub(crate) response_format: Option<Object<ResponseFormat>>,
    #[schema(value_type = Option<PredictionIn>)]
    pub(crate) prediction: Option<Object<PredictionIn>>,
    pub(crate) reasoning_effort: Option<String>,
    pub(crate) modalities: Option<Strings>,
    #[schema(value_type = Option<Value>)]
    pub(crate) audio: Option<Shallow>,
    #[schema(value_type = Option<Value>)]
    pub(crate) web_search_options: Option<Shallow>,
}

/// What the answer will probably be, or much of it, as when a file is asked for with a few changes: where that is right the
/// answer comes faster. It is the same answer, right or wrong.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::Prediction)]
pub(crate) struct PredictionIn {
    #[serde(rename = "type")]
    #[schema(value_type = String, required, example = "content")]
    pub(crate) kind: Option<String>,
    #[schema(required)]
    pub(crate) content: Option<Content>,
}

/// What only plain completions have.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::CompletionFields)]
pub(crate) struct CompletionFields {
    pub(crate) prompt: Option<Prompts>,
    pub(crate) echo: Option<bool>,
    pub(crate) logprobs: Option<Count>,
    pub(crate) suffix: Option<String>,
    pub(crate) best_of: Option<Count>,
}

/// One turn of a conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::Message)]
pub(crate) struct MessageIn {
    #[schema(value_type = Role, required)]
    pub(crate) role: Option<String>,
    pub(crate) content: Option<Content>,
    pub(crate) name: Option<String>,
    #[schema(value_type = Option<Vec<ToolCallIn>>)]
    pub(crate) tool_calls: Option<Vec<Object<ToolCallIn>>>,
    pub(crate) tool_call_id: Option<String>,
    /// As other servers have it.
    pub(crate) reasoning_content: Option<String>,
    /// The same, as yet others have it; some have something else of that name.
    #[schema(value_type = Option<Value>)]
    pub(crate) reasoning: Option<Shallow>,
    /// A call in the form that came before tools.
    #[schema(value_type = Option<CalledFunction>)]
    pub(crate) function_call: Option<Object<CalledFunction>>,
    #[schema(value_type = Option<Value>)]
    pub(crate) audio: Option<Shallow>,
}

/// What a message says.
#[derive(Debug)]
pub(crate) enum Content {
    /// In one piece.
    Text(String),
    /// In several.
    Parts(Vec<Object<Part>>),
}

/// A piece of a message.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::ContentPart)]
pub(crate) struct Part {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) refusal: Option<String>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfContent;
        impl<'de> Visitor<'de> for OfContent {
            type Value = Content;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of content parts")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_string()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = list.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }
        }
        json.deserialize_any(OfContent)
    }
}
