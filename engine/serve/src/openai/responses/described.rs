//! Responses, their items and their events, for the `OpenAPI` document alone: they are made as JSON in `record` and `repeat`.

#![expect(dead_code, reason = "described, never made")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::model::{Fields, Input, Item, ToolChoiceIn, ToolNamed};
use crate::openai::model::TokenLogprobOut;
use crate::openapi::shape::{self, Named};
use crate::standing;

mod event;

/// An event of a response's stream.
pub(super) type Sent = shape::Event<event::Event>;

/// What is said, and how it is to be answered. Fields that are not known are passed over.
#[derive(ToSchema)]
#[schema(as = openai::ResponseRequest)]
pub(super) struct Request {
    #[serde(flatten)]
    fields: Fields,
    #[serde(flatten)]
    standing: standing::Fields,
}

/// A response.
#[derive(ToSchema)]
#[schema(as = openai::Response)]
pub(super) struct Response {
    id: String,
    object: String,
    /// Seconds since 1970.
    created_at: u64,
    completed_at: Option<u64>,
    status: Status,
    error: Option<ResponseError>,
    incomplete_details: Option<IncompleteDetails>,
    output: Vec<ItemOut>,
    usage: Option<ResponseUsage>,
    background: bool,
    instructions: Option<String>,
    max_output_tokens: Option<u32>,
    #[schema(value_type = Value)]
    max_tool_calls: (),
    metadata: BTreeMap<String, String>,
    model: String,
    parallel_tool_calls: bool,
    previous_response_id: Option<String>,
    #[schema(value_type = Value)]
    prompt_cache_key: (),
    reasoning: Reasoning,
    #[schema(value_type = Value)]
    safety_identifier: (),
    service_tier: String,
    store: bool,
    temperature: f64,
    /// With the `format`.
    #[schema(value_type = Object)]
    text: (),
    #[schema(value_type = Value)]
    tool_choice: (),
    #[schema(value_type = Vec<Object>)]
    tools: (),
    top_logprobs: u32,
    top_p: f64,
    truncation: String,
    presence_penalty: f64,
    frequency_penalty: f64,
    #[schema(value_type = Value)]
    user: (),
}

/// A conversation in short.
#[derive(ToSchema)]
#[schema(as = openai::Compaction)]
pub(super) struct Compacted {
    id: String,
    object: String,
    /// Seconds since 1970.
    created_at: u64,
    output: Vec<CompactionItem>,
    usage: Option<ResponseUsage>,
}

/// What stands for the conversation in later requests.
#[derive(ToSchema)]
#[schema(as = openai::CompactionItem)]
struct CompactionItem {
    #[schema(rename = "type")]
    kind: String,
    id: String,
    encrypted_content: String,
}

/// How a response is.
#[derive(ToSchema)]
#[schema(as = openai::ResponseStatus)]
#[serde(rename_all = "snake_case")]
enum Status {
    Queued,
    InProgress,
    Completed,
    Incomplete,
    Failed,
    Cancelled,
}

/// Why it failed.
#[derive(ToSchema)]
#[schema(as = openai::ResponseError)]
struct ResponseError {
    code: String,
    message: String,
}

/// Why it ended early.
#[derive(ToSchema)]
#[schema(as = openai::ResponseIncomplete)]
struct IncompleteDetails {
    reason: String,
}

/// What was asked of its thinking.
#[derive(ToSchema)]
#[schema(as = openai::ResponseReasoningAsked)]
struct Reasoning {
    effort: Option<String>,
    summary: Option<String>,
}

/// What it took, in tokens.
#[derive(ToSchema)]
#[schema(as = openai::ResponseUsage)]
struct ResponseUsage {
    input_tokens: u32,
    #[schema(inline)]
    input_tokens_details: InputDetails,
    output_tokens: u32,
    #[schema(inline)]
    output_tokens_details: OutputDetails,
    total_tokens: u32,
}

#[derive(ToSchema)]
struct InputDetails {
    cached_tokens: u32,
}

#[derive(ToSchema)]
struct OutputDetails {
    reasoning_tokens: u32,
}

/// What the model said, thought or called.
#[derive(ToSchema)]
#[schema(as = openai::ResponseItem)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ItemOut {
    Message {
        id: String,
        status: String,
        role: String,
        content: Vec<PartOut>,
    },
    Reasoning {
        id: String,
        status: String,
        summary: Vec<PartOut>,
        /// Unless a summary was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        content: Option<Vec<PartOut>>,
        /// If it was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        encrypted_content: Option<String>,
    },
    FunctionCall {
        id: String,
        status: String,
        call_id: String,
        name: String,
        /// The text of a JSON object.
        arguments: String,
    },
    CustomToolCall {
        id: String,
        status: String,
        call_id: String,
        name: String,
        input: String,
    },
}

/// A part of an item.
#[expect(clippy::enum_variant_names, reason = "`OpenAI`'s own names")]
#[derive(ToSchema)]
#[schema(as = openai::ResponsePart)]
#[serde(tag = "type", rename_all = "snake_case")]
enum PartOut {
    OutputText {
        text: String,
        #[schema(value_type = Vec<Object>)]
        annotations: (),
        logprobs: Vec<TokenLogprobOut>,
    },
    ReasoningText {
        text: String,
    },
    SummaryText {
        text: String,
    },
}

/// A page of what was said to a response.
#[derive(ToSchema)]
#[schema(as = openai::ResponseInputItems)]
pub(super) struct InputItems {
    object: String,
    #[schema(value_type = Vec<Object>)]
    data: (),
    first_id: Option<String>,
    last_id: Option<String>,
    has_more: bool,
}

/// How many tokens an input has.
#[derive(ToSchema)]
#[schema(as = openai::ResponseInputTokens)]
pub(super) struct InputTokens {
    object: String,
    input_tokens: u32,
}

/// What is left of a response that was deleted.
#[expect(clippy::struct_field_names, reason = "`OpenAI`'s own names")]
#[derive(ToSchema)]
#[schema(as = openai::ResponseDeleted)]
pub(super) struct Deleted {
    id: String,
    object: String,
    deleted: bool,
}

impl PartialSchema for Input {
    fn schema() -> RefOr<Schema> {
        let shapes = [shape::text(), shape::list(shape::of::<Item>())];
        shape::any_of("Words of the user, or items.", shapes)
    }
}

impl ToSchema for Input {
    fn name() -> Cow<'static, str> {
        "openai.ResponseInput".into()
    }

    fn schemas(schemas: &mut Named) {
        shape::collect::<Item>(schemas);
    }
}

impl PartialSchema for ToolChoiceIn {
    fn schema() -> RefOr<Schema> {
        let shapes = [shape::text(), shape::of::<ToolNamed>()];
        shape::any_of("`auto`, `none`, `required`, or which tool.", shapes)
    }
}

impl ToSchema for ToolChoiceIn {
    fn name() -> Cow<'static, str> {
        "openai.ResponseToolChoice".into()
    }

    fn schemas(schemas: &mut Named) {
        shape::collect::<ToolNamed>(schemas);
    }
}
