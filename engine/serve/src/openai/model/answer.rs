//! Answers, field by field in the order in which `OpenAI`'s documentation has them.

use base::Usage;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// What every answer and every chunk of one begins with.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) object: &'static str,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) system_fingerprint: &'static str,
}

/// A whole chat answer.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ChatAnswer {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) choices: [ChatChoice; 1],
    pub(crate) usage: UsageOut,
}

/// The choice of a whole chat answer.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ChatChoice {
    pub(crate) index: usize,
    pub(crate) message: ChatMessageOut,
    pub(crate) logprobs: Option<ChatLogprobs>,
    pub(crate) finish_reason: &'static str,
}

/// What the model said.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ChatMessageOut {
    pub(crate) role: &'static str,
    pub(crate) content: String,
    pub(crate) refusal: Option<String>,
}

/// A piece of a streamed chat answer.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ChatChunk {
    #[serde(flatten)]
    pub(crate) head: Head,
    /// None in the chunk that carries the usage, one in all others.
    pub(crate) choices: Vec<ChatChunkChoice>,
    /// Absent unless asked for; then null in all chunks but the last.
    #[serde(skip_serializing_if = "UsageSlot::is_absent")]
    pub(crate) usage: UsageSlot,
}

/// The choice of a chunk.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ChatChunkChoice {
    pub(crate) index: usize,
    pub(crate) delta: ChatDelta,
    pub(crate) logprobs: Option<ChatLogprobs>,
    pub(crate) finish_reason: Option<&'static str>,
}

/// What a chunk adds. `content` is always there: clients read it without looking.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ChatDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    pub(crate) content: String,
}

/// Log-probabilities of the tokens behind a piece of a chat answer.
#[derive(Debug, Default, serde::Serialize)]
pub(crate) struct ChatLogprobs {
    pub(crate) content: Vec<TokenLogprobOut>,
    pub(crate) refusal: Option<Vec<TokenLogprobOut>>,
}

/// A token of a chat answer.
#[derive(Debug, serde::Serialize)]
pub(crate) struct TokenLogprobOut {
    pub(crate) token: String,
    pub(crate) logprob: f32,
    pub(crate) bytes: Vec<u8>,
    /// Absent in the alternatives themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_logprobs: Option<Vec<TokenLogprobOut>>,
}

/// A plain completion, whole or a chunk of one.
#[derive(Debug, serde::Serialize)]
pub(crate) struct CompletionAnswer {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) choices: Vec<CompletionChoice>,
    /// As in [`ChatChunk`]; whole answers always have it.
    #[serde(skip_serializing_if = "UsageSlot::is_absent")]
    pub(crate) usage: UsageSlot,
}

/// The answer to one prompt, or a piece of it.
#[derive(Debug, serde::Serialize)]
pub(crate) struct CompletionChoice {
    pub(crate) text: String,
    pub(crate) index: usize,
    pub(crate) logprobs: Option<CompletionLogprobs>,
    pub(crate) finish_reason: Option<&'static str>,
}

/// Log-probabilities of a plain completion: parallel lists, one entry for each token.
#[derive(Debug, Default, serde::Serialize)]
pub(crate) struct CompletionLogprobs {
    pub(crate) tokens: Vec<String>,
    /// Null for a prompt's first token.
    pub(crate) token_logprobs: Vec<Option<f32>>,
    /// Null as a whole if no alternatives were asked for.
    pub(crate) top_logprobs: Option<Vec<Option<TopTokens>>>,
    /// Where each token begins in `text`, in characters.
    pub(crate) text_offset: Vec<usize>,
}

/// Alternatives, best first; a JSON object from token to log-probability.
#[derive(Debug)]
pub(crate) struct TopTokens(pub(crate) Vec<(String, f32)>);

impl Serialize for TopTokens {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        let mut map = json.serialize_map(Some(self.0.len()))?;
        for (token, logprob) in &self.0 {
            map.serialize_entry(token, logprob)?;
        }
        map.end()
    }
}

/// The place of the usage in an answer.
#[derive(Debug, Clone, Copy, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum UsageSlot {
    /// Not asked for: the field is not there.
    Absent,
    /// Asked for and not known yet: null.
    Coming,
    /// Known.
    Known(UsageOut),
}

impl UsageSlot {
    /// The place in a chunk before the last.
    pub(crate) fn before_the_end(wanted: bool) -> Self {
        if wanted { Self::Coming } else { Self::Absent }
    }

    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// What an answer took, in tokens.
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct UsageOut {
    pub(crate) prompt_tokens: u32,
    pub(crate) completion_tokens: u32,
    pub(crate) total_tokens: u32,
}

impl UsageOut {
    /// Adds what one more prompt took.
    pub(crate) fn add(&mut self, usage: Usage) {
        let sum = u32::saturating_add;
        self.prompt_tokens = sum(self.prompt_tokens, usage.prompt_tokens);
        self.completion_tokens = sum(self.completion_tokens, usage.completion_tokens);
        self.total_tokens = sum(self.prompt_tokens, self.completion_tokens);
    }
}

/// The models there are.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ModelList {
    pub(crate) object: &'static str,
    pub(crate) data: Vec<ModelObject>,
}

/// A model.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ModelObject {
    pub(crate) id: String,
    pub(crate) object: &'static str,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) owned_by: &'static str,
}
