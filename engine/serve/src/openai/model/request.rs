//! The fields of requests. The body is read once for what both endpoints share and once for what each has alone.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::Object;

use super::scalar::{Count, Number, Prompts, Seed, Shallow, Strings};
use super::tool::{
    CalledFunction, FunctionChoice, FunctionIn, ResponseFormat, ToolCallIn, ToolChoiceIn, ToolIn,
};

/// What chat and plain completions have in common.
#[derive(Debug, Deserialize)]
pub(crate) struct SharedFields {
    pub(crate) model: Option<String>,
    pub(crate) max_tokens: Option<Count>,
    pub(crate) temperature: Option<Number>,
    pub(crate) top_p: Option<Number>,
    /// As other servers have it: 0 and -1 keep all tokens.
    pub(crate) top_k: Option<Number>,
    /// As other servers have it.
    pub(crate) min_p: Option<Number>,
    pub(crate) seed: Option<Seed>,
    pub(crate) stop: Option<Strings>,
    /// As other servers have it.
    pub(crate) stop_token_ids: Option<Vec<Count>>,
    /// As other servers have it: for benchmarks.
    pub(crate) ignore_eos: Option<bool>,
    pub(crate) stream: Option<bool>,
    pub(crate) stream_options: Option<Object<StreamOptions>>,
    pub(crate) n: Option<Count>,
    pub(crate) frequency_penalty: Option<Number>,
    pub(crate) presence_penalty: Option<Number>,
    /// As other servers have it.
    pub(crate) repetition_penalty: Option<Number>,
    /// By token id, written as text.
    pub(crate) logit_bias: Option<BTreeMap<String, Number>>,
    /// As vLLM has it.
    pub(crate) structured_outputs: Option<Object<StructuredOutputs>>,
}

/// What the answer must be, besides `response_format`. One of them.
#[derive(Debug, Deserialize)]
pub(crate) struct StructuredOutputs {
    pub(crate) json: Option<Box<RawValue>>,
    pub(crate) regex: Option<String>,
    pub(crate) choice: Option<Vec<String>>,
    pub(crate) grammar: Option<String>,
}

/// How to stream.
#[derive(Debug, Deserialize)]
pub(crate) struct StreamOptions {
    pub(crate) include_usage: Option<bool>,
}

/// What only chat has.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatFields {
    pub(crate) messages: Option<Vec<Object<MessageIn>>>,
    pub(crate) max_completion_tokens: Option<Count>,
    pub(crate) logprobs: Option<bool>,
    pub(crate) top_logprobs: Option<Count>,
    pub(crate) tools: Option<Vec<Object<ToolIn>>>,
    pub(crate) tool_choice: Option<ToolChoiceIn>,
    pub(crate) parallel_tool_calls: Option<bool>,
    /// As tools were called before.
    pub(crate) functions: Option<Vec<Object<FunctionIn>>>,
    /// As `tool_choice` was called before.
    pub(crate) function_call: Option<FunctionChoice>,
    pub(crate) response_format: Option<Object<ResponseFormat>>,
    pub(crate) reasoning_effort: Option<String>,
    pub(crate) modalities: Option<Strings>,
    pub(crate) audio: Option<Shallow>,
    pub(crate) web_search_options: Option<Shallow>,
}

/// What only plain completions have.
#[derive(Debug, Deserialize)]
pub(crate) struct CompletionFields {
    pub(crate) prompt: Option<Prompts>,
    pub(crate) echo: Option<bool>,
    pub(crate) logprobs: Option<Count>,
    pub(crate) suffix: Option<String>,
    pub(crate) best_of: Option<Count>,
}

/// One turn of a conversation.
#[derive(Debug, Deserialize)]
pub(crate) struct MessageIn {
    pub(crate) role: Option<String>,
    pub(crate) content: Option<Content>,
    pub(crate) name: Option<String>,
    pub(crate) tool_calls: Option<Vec<Object<ToolCallIn>>>,
    pub(crate) tool_call_id: Option<String>,
    /// As other servers have it.
    pub(crate) reasoning_content: Option<String>,
    /// The same, as yet others have it; some have something else of that name.
    pub(crate) reasoning: Option<Shallow>,
    /// A call in the form that came before tools.
    pub(crate) function_call: Option<Object<CalledFunction>>,
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
#[derive(Debug, Deserialize)]
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
