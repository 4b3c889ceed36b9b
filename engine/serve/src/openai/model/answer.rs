//! Answers, field by field in the order in which `OpenAI`'s documentation has them.

use base::Usage;
use serde::ser::{Serialize, SerializeMap, Serializer};
use utoipa::ToSchema;

/// What every answer and every chunk of one begins with.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, ToSchema)]
#[schema(as = openai::AnswerHead)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) object: &'static str,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) system_fingerprint: &'static str,
}

/// A whole chat answer.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::ChatAnswer)]
pub(crate) struct ChatAnswer {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) choices: Vec<ChatChoice>,
    pub(crate) usage: UsageOut,
}

/// The choice of a whole chat answer.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::ChatChoice)]
pub(crate) struct ChatChoice {
    pub(crate) index: usize,
    pub(crate) message: ChatMessageOut,
    pub(crate) logprobs: Option<ChatLogprobs>,
    pub(crate) finish_reason: &'static str,
}

/// What the model said.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::AnswerMessage)]
pub(crate) struct ChatMessageOut {
    pub(crate) role: &'static str,
    /// Null if it said nothing and called tools.
    pub(crate) content: Option<String>,
    pub(crate) refusal: Option<String>,
    /// As other servers have it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reasoning_content: String,
    /// The same, as yet others have it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reasoning: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ToolCallOut>,
    /// The one call in the form that came before tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function_call: Option<FunctionOut>,
}

/// A call of a whole answer.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::ToolCall)]
pub(crate) struct ToolCallOut {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    #[serde(flatten)]
    pub(crate) called: Called,
}

/// What is called.
#[derive(Debug, serde::Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = openai::Called)]
pub(crate) enum Called {
    /// With JSON.
    Function(FunctionOut),
    /// With text.
    Custom(CustomOut),
}

impl Called {
    /// Its `type`.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Function(_) => "function",
            Self::Custom(_) => "custom",
        }
    }
}

/// A function.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::CalledFunction)]
pub(crate) struct FunctionOut {
    /// In a stream only where the call begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The text of a JSON object, or a piece of it.
    pub(crate) arguments: String,
}

/// A tool that takes text.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::CalledCustom)]
pub(crate) struct CustomOut {
    /// In a stream only where the call begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The text, or a piece of it.
    pub(crate) input: String,
}

/// A piece of a call: `id`, `type` and the name once, then pieces of what it is called with.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::ToolCallDelta)]
pub(crate) struct ToolCallDelta {
    pub(crate) index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<&'static str>,
    #[serde(flatten)]
    pub(crate) called: Called,
}

/// A piece of a streamed chat answer.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::ChatChunk)]
pub(crate) struct ChatChunk {
    #[serde(flatten)]
    pub(crate) head: Head,
    /// None in the chunk that carries the usage, one in all others.
    pub(crate) choices: Vec<ChatChunkChoice>,
    /// Absent unless asked for; then null in all chunks but the last.
    #[serde(skip_serializing_if = "UsageSlot::is_absent")]
    #[schema(value_type = Option<UsageOut>)]
    pub(crate) usage: UsageSlot,
}

/// The choice of a chunk.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::ChatChunkChoice)]
pub(crate) struct ChatChunkChoice {
    pub(crate) index: usize,
    pub(crate) delta: ChatDelta,
    pub(crate) logprobs: Option<ChatLogprobs>,
    pub(crate) finish_reason: Option<&'static str>,
}

/// What a chunk adds. `content` is there unless something else is: clients read it without looking.
#[derive(Debug, Default, serde::Serialize, ToSchema)]
#[schema(as = openai::ChatDelta)]
pub(crate) struct ChatDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    /// As other servers have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_content: Option<String>,
    /// The same, as yet others have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_calls: Option<[ToolCallDelta; 1]>,
    /// In the form that came before tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function_call: Option<FunctionOut>,
}

/// Log-probabilities of the tokens behind a piece of a chat answer.
#[derive(Debug, Default, serde::Serialize, ToSchema)]
#[schema(as = openai::ChatLogprobs)]
pub(crate) struct ChatLogprobs {
    pub(crate) content: Vec<TokenLogprobOut>,
    pub(crate) refusal: Option<Vec<TokenLogprobOut>>,
}

/// A token of a chat answer.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::TokenLogprob)]
pub(crate) struct TokenLogprobOut {
    pub(crate) token: String,
    pub(crate) logprob: f32,
    pub(crate) bytes: Vec<u8>,
    /// Absent in the alternatives themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub(crate) top_logprobs: Option<Vec<TokenLogprobOut>>,
}

/// A plain completion, whole or a chunk of one.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::CompletionAnswer)]
pub(crate) struct CompletionAnswer {
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) choices: Vec<CompletionChoice>,
    /// As in [`ChatChunk`]; whole answers always have it.
    #[serde(skip_serializing_if = "UsageSlot::is_absent")]
    #[schema(value_type = Option<UsageOut>)]
    pub(crate) usage: UsageSlot,
}

/// The answer to one prompt, or a piece of it.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::CompletionChoice)]
pub(crate) struct CompletionChoice {
    pub(crate) text: String,
    pub(crate) index: usize,
    pub(crate) logprobs: Option<CompletionLogprobs>,
    pub(crate) finish_reason: Option<&'static str>,
}

/// Log-probabilities of a plain completion: parallel lists, one entry for each token.
#[derive(Debug, Default, serde::Serialize, ToSchema)]
#[schema(as = openai::CompletionLogprobs)]
pub(crate) struct CompletionLogprobs {
    pub(crate) tokens: Vec<String>,
    /// Null for a prompt's first token.
    pub(crate) token_logprobs: Vec<Option<f32>>,
    /// Null as a whole if no alternatives were asked for.
    #[schema(value_type = Option<Vec<Option<BTreeMap<String, f32>>>>)]
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
#[derive(Debug, Clone, Copy, serde::Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = openai::UsageSlot)]
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
#[derive(Debug, Clone, Copy, Default, serde::Serialize, ToSchema)]
#[schema(as = openai::Usage)]
pub(crate) struct UsageOut {
    pub(crate) prompt_tokens: u32,
    pub(crate) completion_tokens: u32,
    pub(crate) total_tokens: u32,
    pub(crate) prompt_tokens_details: PromptDetails,
    pub(crate) completion_tokens_details: CompletionDetails,
}

/// What of a prompt came cheaper.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, ToSchema)]
#[schema(as = openai::PromptTokensDetails)]
pub(crate) struct PromptDetails {
    pub(crate) cached_tokens: u32,
}

/// What of an answer nobody reads.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, ToSchema)]
#[schema(as = openai::CompletionTokensDetails)]
#[expect(clippy::struct_field_names, reason = "OpenAI's names")]
pub(crate) struct CompletionDetails {
    pub(crate) reasoning_tokens: u32,
    /// Tokens of the prediction that were computed ahead and are what came.
    pub(crate) accepted_prediction_tokens: u32,
    /// Those that were computed in vain; not counted in `completion_tokens`.
    pub(crate) rejected_prediction_tokens: u32,
}

impl UsageOut {
    /// Adds what one more answer took. Several answers to a prompt are counted from 0, and the prompt itself once.
    pub(crate) fn add_answer(&mut self, usage: Usage, answer: usize) {
        let first = answer == 0;
        self.add(Usage {
            prompt_tokens: if first { usage.prompt_tokens } else { 0 },
            cached_tokens: if first { usage.cached_tokens } else { 0 },
            ..usage
        });
    }

    fn add(&mut self, usage: Usage) {
        let sum = u32::saturating_add;
        let (prompt, answer) = (
            &mut self.prompt_tokens_details,
            &mut self.completion_tokens_details,
        );
        prompt.cached_tokens = sum(prompt.cached_tokens, usage.cached_tokens);
        answer.reasoning_tokens = sum(answer.reasoning_tokens, usage.reasoning_tokens);
        let accepted = &mut answer.accepted_prediction_tokens;
        *accepted = sum(*accepted, usage.accepted_prediction_tokens);
        let rejected = &mut answer.rejected_prediction_tokens;
        *rejected = sum(*rejected, usage.rejected_prediction_tokens);
        self.prompt_tokens = sum(self.prompt_tokens, usage.prompt_tokens);
        self.completion_tokens = sum(self.completion_tokens, usage.completion_tokens);
        self.total_tokens = sum(self.prompt_tokens, self.completion_tokens);
    }
}

/// The models there are.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::ModelList)]
pub(crate) struct ModelList {
    pub(crate) object: &'static str,
    pub(crate) data: Vec<ModelObject>,
}

/// A model.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = openai::Model)]
pub(crate) struct ModelObject {
    pub(crate) id: String,
    pub(crate) object: &'static str,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) owned_by: &'static str,
}
