//! What Anthropic's clients send and expect: request fields as they come, answers as they go.
//!
//! Blocks and tools come in many kinds with fields of the same names and other types, so each is kept as it is written
//! until its kind is known.

mod answer;
mod request;

pub(super) use answer::{
    Block, CountOut, Delta, EventOut, MessageOut, ModelList, ModelObject, StopOut, UsageOut,
};
pub(super) use request::{
    CompactionBlock, Content, DocumentBlock, Kind, MessageIn, MessagesFields, OutputConfig,
    OutputFormat, SearchResultBlock, TextBlock, ThinkingBlock, ThinkingIn, ToolChoiceIn, ToolIn,
    ToolReferenceBlock, ToolResultBlock, ToolUseBlock,
};
