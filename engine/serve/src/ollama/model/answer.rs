//! Answers of models.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::described::SomeMetrics;

/// An answer, or a piece of one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::Answer)]
pub(in crate::ollama) struct AnswerOut {
    pub(in crate::ollama) model: String,
    pub(in crate::ollama) created_at: String,
    #[serde(flatten)]
    pub(in crate::ollama) said: SaidOut,
    pub(in crate::ollama) done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ollama) done_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::ollama) context: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::ollama) logprobs: Vec<LogprobOut>,
    /// At the end, unless nothing was computed.
    #[serde(flatten)]
    #[schema(value_type = SomeMetrics)]
    pub(in crate::ollama) metrics: Option<MetricsOut>,
}

/// What is said, in the shape of its endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ollama::AnswerSaid)]
pub(in crate::ollama) enum SaidOut {
    /// Of `/api/chat`.
    Chat {
        /// The model's turn.
        message: MessageOut,
    },
    /// Of `/api/generate`.
    Generate {
        /// Words.
        response: String,
        /// Thoughts.
        #[serde(skip_serializing_if = "String::is_empty")]
        thinking: String,
    },
}

/// A turn of the model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::AnswerMessage)]
pub(in crate::ollama) struct MessageOut {
    pub(in crate::ollama) role: &'static str,
    pub(in crate::ollama) content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::ollama) thinking: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::ollama) tool_calls: Vec<ToolCallOut>,
}

/// A call. Never a part of one.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ollama::ToolCall)]
pub(in crate::ollama) struct ToolCallOut {
    pub(in crate::ollama) id: String,
    pub(in crate::ollama) function: CalledFunctionOut,
}

/// What is called.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ollama::CalledFunction)]
pub(in crate::ollama) struct CalledFunctionOut {
    pub(in crate::ollama) index: u32,
    pub(in crate::ollama) name: String,
    /// An object.
    #[schema(value_type = Object)]
    pub(in crate::ollama) arguments: Box<RawValue>,
}

/// A token of the answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::TokenLogprob)]
pub(in crate::ollama) struct LogprobOut {
    #[serde(flatten)]
    pub(in crate::ollama) token: TokenOut,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::ollama) top_logprobs: Vec<TokenOut>,
}

/// A token and how likely it was.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::ScoredToken)]
pub(in crate::ollama) struct TokenOut {
    pub(in crate::ollama) token: String,
    pub(in crate::ollama) logprob: f32,
    pub(in crate::ollama) bytes: Vec<u8>,
}

/// What an answer took, in nanoseconds and tokens.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = ollama::AnswerMetrics)]
pub(in crate::ollama) struct MetricsOut {
    pub(in crate::ollama) total_duration: u64,
    pub(in crate::ollama) load_duration: u64,
    pub(in crate::ollama) prompt_eval_count: u32,
    pub(in crate::ollama) prompt_eval_duration: u64,
    pub(in crate::ollama) eval_count: u32,
    pub(in crate::ollama) eval_duration: u64,
}

/// Of `/api/embed`.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = ollama::EmbedAnswer)]
pub(in crate::ollama) struct EmbedOut {
    pub(in crate::ollama) model: String,
    pub(in crate::ollama) embeddings: Vec<Vec<f32>>,
    /// What they took, in nanoseconds; nothing where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::ollama) total_duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::ollama) load_duration: Option<u64>,
    /// In tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::ollama) prompt_eval_count: Option<u32>,
}

/// Of `/api/embeddings`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::EmbeddingAnswer)]
pub(in crate::ollama) struct EmbeddingOut {
    pub(in crate::ollama) embedding: Vec<f32>,
}
