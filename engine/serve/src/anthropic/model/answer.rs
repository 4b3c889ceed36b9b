//! Answers, field by field in the order in which Anthropic's documentation has them.

use base::Usage;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A message: the whole answer, or what is known of it as a stream begins.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = anthropic::Answer)]
pub(crate) struct MessageOut {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) role: &'static str,
    pub(crate) model: String,
    pub(crate) content: Vec<Block>,
    #[serde(flatten)]
    pub(crate) stop: StopOut,
    pub(crate) usage: UsageOut,
}

/// A block of a message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = anthropic::AnswerBlock)]
pub(crate) enum Block {
    /// What the model thought before.
    Thinking {
        thinking: String,
        signature: &'static str,
    },
    /// What it says.
    Text { text: String },
    /// What it calls.
    ToolUse {
        id: String,
        name: String,
        /// An object. Not `Value`: the order of its fields is the model's.
        #[schema(value_type = Object)]
        input: Box<RawValue>,
    },
}

/// Why it ended; nothing as long as it has not.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = anthropic::AnswerEnd)]
pub(crate) struct StopOut {
    pub(crate) stop_reason: Option<&'static str>,
    pub(crate) stop_sequence: Option<String>,
}

/// What it took. Tokens of the prompt that did not have to be computed are told apart, as they cost less.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = anthropic::Usage)]
pub(crate) struct UsageOut {
    pub(crate) input_tokens: u32,
    pub(crate) cache_creation_input_tokens: u32,
    pub(crate) cache_read_input_tokens: u32,
    pub(crate) output_tokens: u32,
    /// Nothing if all of it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output_tokens_details: Option<OutputTokensDetails>,
}

/// What of the answer was not said.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = anthropic::OutputTokensDetails)]
pub(crate) struct OutputTokensDetails {
    pub(crate) thinking_tokens: u32,
}

impl From<Usage> for UsageOut {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.prompt_tokens.saturating_sub(usage.cached_tokens),
            // What stays in the cache costs nothing here, so there is nothing to count.
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: usage.cached_tokens,
            output_tokens: usage.completion_tokens,
            output_tokens_details: (usage.reasoning_tokens > 0).then_some(OutputTokensDetails {
                thinking_tokens: usage.reasoning_tokens,
            }),
        }
    }
}

/// A server-sent event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = anthropic::Event)]
pub(crate) enum EventOut {
    /// First.
    MessageStart { message: MessageOut },
    /// The line is alive.
    Ping,
    /// A block begins.
    ContentBlockStart { index: usize, content_block: Block },
    /// It goes on.
    ContentBlockDelta { index: usize, delta: Delta },
    /// It has ended.
    ContentBlockStop { index: usize },
    /// Why the message ended, and what it took.
    MessageDelta { delta: StopOut, usage: UsageOut },
    /// Last.
    MessageStop,
}

/// What comes to a block.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type")]
#[schema(as = anthropic::Delta)]
pub(crate) enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'static str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
}

impl EventOut {
    /// The name of the event, beside its data: clients go by one or the other.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::Ping => "ping",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop => "message_stop",
        }
    }
}

/// How long a prompt is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = anthropic::TokenCount)]
pub(crate) struct CountOut {
    pub(crate) input_tokens: u32,
}

/// A page of the models there are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = anthropic::ModelList)]
pub(crate) struct ModelList {
    pub(crate) data: Vec<ModelObject>,
    pub(crate) has_more: bool,
    pub(crate) first_id: Option<String>,
    pub(crate) last_id: Option<String>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = anthropic::Model)]
pub(crate) struct ModelObject {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) display_name: String,
    /// As RFC 3339 has it.
    pub(crate) created_at: String,
    /// Models here are not withdrawn.
    pub(crate) lifecycle: &'static str,
}
