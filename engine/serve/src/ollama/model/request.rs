//! The fields of requests.

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Images, KeepAliveIn, License, ThinkIn};
use crate::json::Object;
use crate::openai::{Count, Number, Seed, Strings};

/// `POST /api/chat`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::ChatFields)]
pub(in crate::ollama) struct ChatFields {
    #[schema(example = "sprout")]
    pub(in crate::ollama) model: Option<String>,
    #[schema(value_type = Option<Vec<MessageIn>>)]
    pub(in crate::ollama) messages: Option<Vec<Object<MessageIn>>>,
    #[schema(value_type = Option<Vec<ToolIn>>)]
    pub(in crate::ollama) tools: Option<Vec<Object<ToolIn>>>,
    #[schema(value_type = Option<Value>)]
    pub(in crate::ollama) format: Option<Box<RawValue>>,
    #[schema(value_type = Option<OptionsIn>)]
    pub(in crate::ollama) options: Option<Object<OptionsIn>>,
    pub(in crate::ollama) stream: Option<bool>,
    pub(in crate::ollama) truncate: Option<bool>,
    pub(in crate::ollama) think: Option<ThinkIn>,
    pub(in crate::ollama) keep_alive: Option<KeepAliveIn>,
    pub(in crate::ollama) logprobs: Option<bool>,
    pub(in crate::ollama) top_logprobs: Option<Count>,
}

/// `POST /api/generate`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::GenerateFields)]
pub(in crate::ollama) struct GenerateFields {
    #[schema(example = "sprout")]
    pub(in crate::ollama) model: Option<String>,
    pub(in crate::ollama) prompt: Option<String>,
    pub(in crate::ollama) suffix: Option<String>,
    pub(in crate::ollama) system: Option<String>,
    pub(in crate::ollama) template: Option<String>,
    pub(in crate::ollama) context: Option<Vec<Count>>,
    pub(in crate::ollama) raw: Option<bool>,
    pub(in crate::ollama) images: Option<Images>,
    #[schema(value_type = Option<Value>)]
    pub(in crate::ollama) format: Option<Box<RawValue>>,
    #[schema(value_type = Option<OptionsIn>)]
    pub(in crate::ollama) options: Option<Object<OptionsIn>>,
    pub(in crate::ollama) stream: Option<bool>,
    pub(in crate::ollama) truncate: Option<bool>,
    pub(in crate::ollama) think: Option<ThinkIn>,
    pub(in crate::ollama) keep_alive: Option<KeepAliveIn>,
    pub(in crate::ollama) logprobs: Option<bool>,
    pub(in crate::ollama) top_logprobs: Option<Count>,
}

/// A turn.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::Message)]
pub(in crate::ollama) struct MessageIn {
    pub(in crate::ollama) role: Option<String>,
    pub(in crate::ollama) content: Option<String>,
    pub(in crate::ollama) thinking: Option<String>,
    pub(in crate::ollama) images: Option<Images>,
    #[schema(value_type = Option<Vec<ToolCallIn>>)]
    pub(in crate::ollama) tool_calls: Option<Vec<Object<ToolCallIn>>>,
    pub(in crate::ollama) tool_name: Option<String>,
    /// What `tool_name` was called before.
    pub(in crate::ollama) name: Option<String>,
    pub(in crate::ollama) tool_call_id: Option<String>,
}

/// A call that the model made before.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::ToolCallBefore)]
pub(in crate::ollama) struct ToolCallIn {
    pub(in crate::ollama) id: Option<String>,
    #[schema(value_type = Option<CalledFunctionIn>)]
    pub(in crate::ollama) function: Option<Object<CalledFunctionIn>>,
}

/// What it called.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::CalledFunctionBefore)]
pub(in crate::ollama) struct CalledFunctionIn {
    pub(in crate::ollama) name: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(in crate::ollama) arguments: Option<Box<RawValue>>,
}

/// A tool that the client runs.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::Tool)]
pub(in crate::ollama) struct ToolIn {
    #[serde(rename = "type")]
    pub(in crate::ollama) kind: Option<String>,
    #[schema(value_type = Option<FunctionIn>)]
    pub(in crate::ollama) function: Option<Object<FunctionIn>>,
}

/// What the tool is.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::FunctionTool)]
pub(in crate::ollama) struct FunctionIn {
    pub(in crate::ollama) name: Option<String>,
    pub(in crate::ollama) description: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(in crate::ollama) parameters: Option<Box<RawValue>>,
}

/// Options that mean something here; there are many that do not.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = ollama::Options)]
pub(in crate::ollama) struct OptionsIn {
    pub(in crate::ollama) temperature: Option<Number>,
    pub(in crate::ollama) top_k: Option<Number>,
    pub(in crate::ollama) top_p: Option<Number>,
    pub(in crate::ollama) min_p: Option<Number>,
    pub(in crate::ollama) seed: Option<Seed>,
    pub(in crate::ollama) num_predict: Option<Number>,
    pub(in crate::ollama) num_ctx: Option<Number>,
    pub(in crate::ollama) repeat_penalty: Option<Number>,
    pub(in crate::ollama) presence_penalty: Option<Number>,
    pub(in crate::ollama) frequency_penalty: Option<Number>,
    pub(in crate::ollama) stop: Option<Strings>,
}

/// `POST /api/embed`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::EmbedFields)]
pub(in crate::ollama) struct EmbedFields {
    #[schema(example = "sprout")]
    pub(in crate::ollama) model: Option<String>,
    pub(in crate::ollama) input: Option<Strings>,
    pub(in crate::ollama) truncate: Option<bool>,
    pub(in crate::ollama) dimensions: Option<Count>,
    pub(in crate::ollama) options: Option<Object<OptionsIn>>,
    pub(in crate::ollama) keep_alive: Option<KeepAliveIn>,
}

/// `POST /api/embeddings`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::EmbeddingFields)]
pub(in crate::ollama) struct EmbeddingFields {
    #[schema(example = "sprout")]
    pub(in crate::ollama) model: Option<String>,
    pub(in crate::ollama) prompt: Option<String>,
    pub(in crate::ollama) options: Option<Object<OptionsIn>>,
    pub(in crate::ollama) keep_alive: Option<KeepAliveIn>,
}

/// Requests about one model: `show`, `pull`, `push`, `delete`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::NameRequest)]
pub(in crate::ollama) struct NameFields {
    #[schema(example = "sprout")]
    pub(in crate::ollama) model: Option<String>,
    /// What `model` was called before.
    pub(in crate::ollama) name: Option<String>,
    pub(in crate::ollama) verbose: Option<bool>,
    pub(in crate::ollama) stream: Option<bool>,
}

/// `POST /api/copy`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::CopyRequest)]
pub(in crate::ollama) struct CopyFields {
    #[schema(value_type = String, required, example = "sprout")]
    pub(in crate::ollama) source: Option<String>,
    #[schema(value_type = String, required, example = "gardener")]
    pub(in crate::ollama) destination: Option<String>,
}

/// `POST /api/create`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ollama::CreateRequest)]
pub(in crate::ollama) struct CreateFields {
    #[schema(example = "gardener")]
    pub(in crate::ollama) model: Option<String>,
    /// What `model` was called before.
    pub(in crate::ollama) name: Option<String>,
    #[schema(example = "sprout")]
    pub(in crate::ollama) from: Option<String>,
    /// All that follows in one text, as it was sent before.
    pub(in crate::ollama) modelfile: Option<String>,
    pub(in crate::ollama) system: Option<String>,
    pub(in crate::ollama) template: Option<String>,
    #[schema(value_type = Option<OptionsIn>)]
    pub(in crate::ollama) parameters: Option<Object<OptionsIn>>,
    #[schema(value_type = Option<Vec<MessageIn>>)]
    pub(in crate::ollama) messages: Option<Vec<Object<MessageIn>>>,
    pub(in crate::ollama) license: Option<License>,
    pub(in crate::ollama) quantize: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(in crate::ollama) files: Option<serde_json::Map<String, serde_json::Value>>,
    #[schema(value_type = Option<Object>)]
    pub(in crate::ollama) adapters: Option<serde_json::Map<String, serde_json::Value>>,
    pub(in crate::ollama) stream: Option<bool>,
}
