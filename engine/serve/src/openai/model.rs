//! What `OpenAI`'s clients send and expect: request fields as they come, answers as they go.
//!
//! Request structs are lenient about fields that are absent or not known and strict about types; what a value means
//! is decided in `convert`.

mod answer;
mod described;
mod request;
mod scalar;
mod schema;
mod tool;

pub(super) use answer::{
    Called, ChatAnswer, ChatChoice, ChatChunk, ChatChunkChoice, ChatDelta, ChatLogprobs,
    ChatMessageOut, CompletionAnswer, CompletionChoice, CompletionLogprobs, CustomOut, FunctionOut,
    Head, TokenLogprobOut, ToolCallDelta, ToolCallOut, TopTokens, UsageOut, UsageSlot,
};
pub(crate) use answer::{ModelList, ModelObject};
pub(super) use described::{ChatRequest, ChatSent, CompletionRequest, CompletionSent};
pub(super) use request::{
    ChatFields, CompletionFields, Content, MessageIn, Part, PredictionIn, SharedFields,
    StructuredOutputs,
};
pub(crate) use scalar::{Count, Number, Seed, Strings};
pub(super) use scalar::{Prompts, Shallow};
pub(super) use tool::{
    CalledFunction, CustomIn, FunctionChoice, FunctionIn, NamedChoice, ResponseFormat, ToolCallIn,
    ToolChoiceIn, ToolIn, word_or_object,
};
