//! What Anthropic's clients send and expect: request fields as they come, answers as they go.
//!
//! Blocks and tools come in many kinds with fields of the same names and other types, so each is kept as it is written
//! until its kind is known.

mod answer;
mod described;
mod request;

pub(super) use answer::{Block, CountOut, Delta, EventOut, MessageOut, StopOut, UsageOut};
pub(crate) use answer::{ModelList, ModelObject};
pub(super) use described::{MessagesRequest, Sent};
pub(super) use request::{
    CompactionBlock, Content, DocumentBlock, Kind, MessageIn, MessagesFields, OutputConfig,
    OutputFormat, SearchResultBlock, TextBlock, ThinkingBlock, ThinkingIn, ToolChoiceIn, ToolIn,
    ToolReferenceBlock, ToolResultBlock, ToolUseBlock,
};
