//! The fields of requests. What is absent is found out in `convert`, which can say where.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::described::Role;
use crate::json::Object;
use crate::openai::{Count, Number};

/// The body of both endpoints.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::ConversationFields)]
pub(crate) struct MessagesFields {
    #[schema(value_type = String, required, min_length = 1, example = "sprout")]
    pub(crate) model: Option<String>,
    #[schema(value_type = Vec<MessageIn>, required, min_items = 1)]
    pub(crate) messages: Option<Vec<Object<MessageIn>>>,
    pub(crate) system: Option<Content>,
    pub(crate) max_tokens: Option<Count>,
    pub(crate) stop_sequences: Option<Vec<String>>,
    pub(crate) stream: Option<bool>,
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 1)]
    pub(crate) temperature: Option<Number>,
    #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 1)]
    pub(crate) top_p: Option<Number>,
    pub(crate) top_k: Option<Count>,
    #[schema(value_type = Option<ThinkingIn>)]
    pub(crate) thinking: Option<Object<ThinkingIn>>,
    /// Servers of tools that Anthropic would call.
    #[schema(value_type = Option<Vec<Value>>)]
    pub(crate) mcp_servers: Option<Vec<IgnoredAny>>,
    /// That the server is to keep the conversation, or goes on from what it kept.
    #[schema(value_type = Option<Value>)]
    pub(crate) thread: Option<IgnoredAny>,
    #[schema(value_type = Option<Vec<ToolIn>>)]
    pub(crate) tools: Option<Vec<Box<RawValue>>>,
    #[schema(value_type = Option<ToolChoiceIn>)]
    pub(crate) tool_choice: Option<Object<ToolChoiceIn>>,
    #[schema(value_type = Option<OutputConfig>)]
    pub(crate) output_config: Option<Object<OutputConfig>>,
    /// Where the format of the answer was before there was `output_config`.
    #[schema(value_type = Option<OutputFormat>)]
    pub(crate) output_format: Option<Object<OutputFormat>>,
}

/// One turn of a conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::Message)]
pub(crate) struct MessageIn {
    #[schema(value_type = Role, required)]
    pub(crate) role: Option<String>,
    #[schema(value_type = Content, required)]
    pub(crate) content: Option<Content>,
}

/// What is said.
#[derive(Debug)]
pub(crate) enum Content {
    /// In one piece.
    Text(String),
    /// In blocks.
    Blocks(Vec<Box<RawValue>>),
}

/// How much to think.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::Thinking)]
pub(crate) struct ThinkingIn {
    #[serde(rename = "type")]
    #[schema(value_type = String, required)]
    pub(crate) kind: Option<String>,
    pub(crate) budget_tokens: Option<Count>,
    pub(crate) display: Option<String>,
}

/// Whether to call a tool.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::ToolChoice)]
pub(crate) struct ToolChoiceIn {
    #[serde(rename = "type")]
    #[schema(value_type = String, required)]
    pub(crate) kind: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) disable_parallel_tool_use: Option<bool>,
}

/// What the answer should be like.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::OutputConfig)]
pub(crate) struct OutputConfig {
    pub(crate) effort: Option<String>,
    #[schema(value_type = Option<OutputFormat>)]
    pub(crate) format: Option<Object<OutputFormat>>,
}

/// What the answer must be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::OutputFormat)]
pub(crate) struct OutputFormat {
    #[serde(rename = "type")]
    #[schema(value_type = String, required)]
    pub(crate) kind: Option<String>,
    #[schema(value_type = Object, required)]
    pub(crate) schema: Option<Box<RawValue>>,
}

/// As much of a block or a tool as is needed to tell what it is.
#[derive(Debug, Deserialize)]
pub(crate) struct Kind {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
}

/// A tool that the client runs.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::Tool)]
pub(crate) struct ToolIn {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(crate) input_schema: Option<Box<RawValue>>,
    pub(crate) strict: Option<bool>,
}

/// `text`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::TextBlock)]
pub(crate) struct TextBlock {
    #[schema(value_type = String, required)]
    pub(crate) text: Option<String>,
}

/// `thinking`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::ThinkingBlock)]
pub(crate) struct ThinkingBlock {
    #[schema(value_type = String, required)]
    pub(crate) thinking: Option<String>,
}

/// `tool_use`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::ToolUseBlock)]
pub(crate) struct ToolUseBlock {
    #[schema(value_type = String, required)]
    pub(crate) id: Option<String>,
    #[schema(value_type = String, required)]
    pub(crate) name: Option<String>,
    #[schema(value_type = Object, required)]
    pub(crate) input: Option<Box<RawValue>>,
}

/// `tool_result`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::ToolResultBlock)]
pub(crate) struct ToolResultBlock {
    #[schema(value_type = String, required)]
    pub(crate) tool_use_id: Option<String>,
    #[schema(no_recursion)]
    pub(crate) content: Option<Content>,
    pub(crate) is_error: Option<bool>,
}

/// `tool_reference`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::ToolReferenceBlock)]
pub(crate) struct ToolReferenceBlock {
    #[schema(value_type = String, required)]
    pub(crate) tool_name: Option<String>,
}

/// `search_result`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::SearchResultBlock)]
pub(crate) struct SearchResultBlock {
    pub(crate) title: Option<String>,
    pub(crate) source: Option<String>,
    #[schema(value_type = Content, required, no_recursion)]
    pub(crate) content: Option<Content>,
}

/// `compaction`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::CompactionBlock)]
pub(crate) struct CompactionBlock {
    pub(crate) content: Option<String>,
}

/// `document`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::DocumentBlock)]
pub(crate) struct DocumentBlock {
    pub(crate) title: Option<String>,
    #[schema(value_type = DocumentSource, required)]
    pub(crate) source: Option<Object<DocumentSource>>,
}

impl DocumentBlock {
    /// Whether its words are in the request.
    pub(crate) fn is_text(&self) -> bool {
        let source = self.source.as_ref();
        let kind = source.and_then(|Object(source)| source.kind.as_deref());
        matches!(kind, Some("text" | "content"))
    }
}

/// Where a document's words are.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = anthropic::DocumentSource)]
pub(crate) struct DocumentSource {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// Of `text`: the words themselves.
    pub(crate) data: Option<String>,
    /// Of `content`: blocks, or words.
    #[schema(no_recursion)]
    pub(crate) content: Option<Content>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfContent;
        impl<'de> Visitor<'de> for OfContent {
            type Value = Content;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of content blocks")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_string()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let mut blocks = Vec::new();
                while let Some(block) = list.next_element()? {
                    blocks.push(block);
                }
                Ok(Content::Blocks(blocks))
            }
        }
        json.deserialize_any(OfContent)
    }
}
