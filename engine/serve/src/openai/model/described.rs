//! Bodies and streams as a whole, for the `OpenAPI` document alone: requests are read in parts, and a stream is never one value.

#![expect(dead_code, reason = "described, never made")]

use utoipa::ToSchema;

use super::{ChatChunk, ChatFields, CompletionAnswer, CompletionFields, SharedFields};
use crate::openai::error::Envelope;
use crate::openapi::shape::EventOrDone;
use crate::standing;

/// A conversation to go on with. Fields that are not known are passed over.
#[derive(ToSchema)]
#[schema(as = openai::ChatRequest)]
pub(crate) struct ChatRequest {
    #[serde(flatten)]
    shared: SharedFields,
    #[serde(flatten)]
    chat: ChatFields,
    #[serde(flatten)]
    standing: standing::Fields,
}

/// Texts to go on with. Fields that are not known are passed over.
#[derive(ToSchema)]
#[schema(as = openai::CompletionRequest)]
pub(crate) struct CompletionRequest {
    #[serde(flatten)]
    shared: SharedFields,
    #[serde(flatten)]
    completion: CompletionFields,
    #[serde(flatten)]
    standing: standing::Fields,
}

/// Whose turn it is.
#[derive(ToSchema)]
#[schema(as = openai::Role)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
    Function,
}

/// An event of a chat's stream.
pub(crate) type ChatSent = EventOrDone<ChatData>;

/// An event of a completion's stream.
pub(crate) type CompletionSent = EventOrDone<CompletionData>;

/// What an event of a chat's stream says.
#[derive(ToSchema)]
#[schema(as = openai::ChatData)]
#[serde(untagged)]
pub(crate) enum ChatData {
    Chunk(ChatChunk),
    Error(Envelope),
}

/// What an event of a completion's stream says.
#[derive(ToSchema)]
#[schema(as = openai::CompletionData)]
#[serde(untagged)]
pub(crate) enum CompletionData {
    Chunk(CompletionAnswer),
    Error(Envelope),
}
