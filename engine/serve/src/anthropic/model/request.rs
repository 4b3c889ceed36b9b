//! The fields of requests. What is absent is found out in `convert`, which can say where.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::Object;
use crate::openai::{Count, Number};

/// The body of both endpoints.
#[derive(Debug, Deserialize)]
pub(crate) struct MessagesFields {
    pub(crate) model: Option<String>,
    pub(crate) messages: Option<Vec<Object<MessageIn>>>,
    pub(crate) system: Option<Content>,
    pub(crate) max_tokens: Option<Count>,
    pub(crate) stop_sequences: Option<Vec<String>>,
    pub(crate) stream: Option<bool>,
    pub(crate) temperature: Option<Number>,
    pub(crate) top_p: Option<Number>,
    pub(crate) top_k: Option<Count>,
    pub(crate) thinking: Option<Object<ThinkingIn>>,
    /// Servers of tools that Anthropic would call.
    pub(crate) mcp_servers: Option<Vec<IgnoredAny>>,
    /// That the server is to keep the conversation, or goes on from what it kept.
    pub(crate) thread: Option<IgnoredAny>,
    pub(crate) tools: Option<Vec<Box<RawValue>>>,
    pub(crate) tool_choice: Option<Object<ToolChoiceIn>>,
    pub(crate) output_config: Option<Object<OutputConfig>>,
    /// Where the format of the answer was before there was `output_config`.
    pub(crate) output_format: Option<Object<OutputFormat>>,
}

/// One turn of a conversation.
#[derive(Debug, Deserialize)]
pub(crate) struct MessageIn {
    pub(crate) role: Option<String>,
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
#[derive(Debug, Deserialize)]
pub(crate) struct ThinkingIn {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) budget_tokens: Option<Count>,
    pub(crate) display: Option<String>,
}

/// Whether to call a tool.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolChoiceIn {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) disable_parallel_tool_use: Option<bool>,
}

/// What the answer should be like.
#[derive(Debug, Deserialize)]
pub(crate) struct OutputConfig {
    pub(crate) effort: Option<String>,
    pub(crate) format: Option<Object<OutputFormat>>,
}

/// What the answer must be.
#[derive(Debug, Deserialize)]
pub(crate) struct OutputFormat {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) schema: Option<Box<RawValue>>,
}

/// As much of a block or a tool as is needed to tell what it is.
#[derive(Debug, Deserialize)]
pub(crate) struct Kind {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
}

/// A tool that the client runs.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolIn {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) input_schema: Option<Box<RawValue>>,
    pub(crate) strict: Option<bool>,
}

/// `text`.
#[derive(Debug, Deserialize)]
pub(crate) struct TextBlock {
    pub(crate) text: Option<String>,
}

/// `thinking`.
#[derive(Debug, Deserialize)]
pub(crate) struct ThinkingBlock {
    pub(crate) thinking: Option<String>,
}

/// `tool_use`.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolUseBlock {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) input: Option<Box<RawValue>>,
}

/// `tool_result`.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolResultBlock {
    pub(crate) tool_use_id: Option<String>,
    pub(crate) content: Option<Content>,
    pub(crate) is_error: Option<bool>,
}

/// `tool_reference`.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolReferenceBlock {
    pub(crate) tool_name: Option<String>,
}

/// `search_result`.
#[derive(Debug, Deserialize)]
pub(crate) struct SearchResultBlock {
    pub(crate) title: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) content: Option<Content>,
}

/// `compaction`.
#[derive(Debug, Deserialize)]
pub(crate) struct CompactionBlock {
    pub(crate) content: Option<String>,
}

/// `document`.
#[derive(Debug, Deserialize)]
pub(crate) struct DocumentBlock {
    pub(crate) title: Option<String>,
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
#[derive(Debug, Deserialize)]
pub(crate) struct DocumentSource {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// Of `text`: the words themselves.
    pub(crate) data: Option<String>,
    /// Of `content`: blocks, or words.
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
