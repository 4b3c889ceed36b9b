//! What Ollama's clients send and expect: request fields as they come, answers as they go.

mod answer;
mod described;
mod listing;
mod request;
mod scalar;

pub(super) use answer::{
    AnswerOut, CalledFunctionOut, EmbedOut, EmbeddingOut, LogprobOut, MessageOut, MetricsOut,
    SaidOut, TokenOut, ToolCallOut,
};
pub(super) use described::{
    AnswerLine, ChatRequest, EmbedRequest, EmbeddingRequest, GenerateRequest, ProgressLine,
};
pub(super) use listing::{
    Details, Loaded, LoadedList, Model, ModelList, Progress, Show, ShownMessage, Tensor, Version,
};
pub(super) use request::{
    ChatFields, CopyFields, CreateFields, EmbedFields, EmbeddingFields, FunctionIn, GenerateFields,
    MessageIn, NameFields, OptionsIn, ToolCallIn, ToolIn,
};
pub(super) use scalar::{Images, KeepAliveIn, License, ThinkIn};
