//! The events of a response's stream.

use utoipa::ToSchema;

use super::{ItemOut, PartOut, Response, TokenLogprobOut};

/// The data of an event. Its name is its `type`.
#[derive(ToSchema)]
#[schema(as = openai::ResponseEvent)]
#[serde(tag = "type")]
pub(in crate::openai::responses) enum Event {
    #[serde(rename = "response.created")]
    Created(Whole),
    #[serde(rename = "response.queued")]
    Queued(Whole),
    #[serde(rename = "response.in_progress")]
    InProgress(Whole),
    #[serde(rename = "response.completed")]
    Completed(Whole),
    #[serde(rename = "response.incomplete")]
    Incomplete(Whole),
    #[serde(rename = "response.failed")]
    Failed(Whole),
    #[serde(rename = "response.output_item.added")]
    ItemAdded(OfItem),
    #[serde(rename = "response.output_item.done")]
    ItemDone(OfItem),
    #[serde(rename = "response.content_part.added")]
    PartAdded(OfPart),
    #[serde(rename = "response.content_part.done")]
    PartDone(OfPart),
    #[serde(rename = "response.reasoning_summary_part.added")]
    SummaryPartAdded(OfSummaryPart),
    #[serde(rename = "response.reasoning_summary_part.done")]
    SummaryPartDone(OfSummaryPart),
    #[serde(rename = "response.output_text.delta")]
    TextDelta(TextDelta),
    #[serde(rename = "response.output_text.done")]
    TextDone(TextDone),
    #[serde(rename = "response.reasoning_text.delta")]
    ReasoningDelta(ReasoningDelta),
    #[serde(rename = "response.reasoning_text.done")]
    ReasoningDone(ReasoningDone),
    #[serde(rename = "response.reasoning_summary_text.delta")]
    SummaryDelta(SummaryDelta),
    #[serde(rename = "response.reasoning_summary_text.done")]
    SummaryDone(SummaryDone),
    #[serde(rename = "response.function_call_arguments.delta")]
    ArgumentsDelta(CallDelta),
    #[serde(rename = "response.function_call_arguments.done")]
    ArgumentsDone(ArgumentsDone),
    #[serde(rename = "response.custom_tool_call_input.delta")]
    InputDelta(CallDelta),
    #[serde(rename = "response.custom_tool_call_input.done")]
    InputDone(InputDone),
}

/// Tells the whole response.
#[derive(ToSchema)]
#[schema(as = openai::ResponseEventOfAll)]
pub(in crate::openai::responses) struct Whole {
    sequence_number: u64,
    response: Response,
}

/// An item begins or has ended.
#[derive(ToSchema)]
#[schema(as = openai::ResponseEventOfItem)]
pub(in crate::openai::responses) struct OfItem {
    sequence_number: u64,
    output_index: usize,
    item: ItemOut,
}

/// A part begins or has ended.
#[derive(ToSchema)]
#[schema(as = openai::ResponseEventOfPart)]
pub(in crate::openai::responses) struct OfPart {
    sequence_number: u64,
    output_index: usize,
    item_id: String,
    content_index: usize,
    part: PartOut,
}

/// A part of a summary begins or has ended.
#[derive(ToSchema)]
#[schema(as = openai::ResponseEventOfSummaryPart)]
pub(in crate::openai::responses) struct OfSummaryPart {
    sequence_number: u64,
    output_index: usize,
    item_id: String,
    summary_index: usize,
    part: PartOut,
}

/// More words.
#[derive(ToSchema)]
#[schema(as = openai::ResponseTextDelta)]
pub(in crate::openai::responses) struct TextDelta {
    sequence_number: u64,
    output_index: usize,
    item_id: String,
    content_index: usize,
    delta: String,
    logprobs: Vec<TokenLogprobOut>,
}

/// All words of a part.
#[derive(ToSchema)]
#[schema(as = openai::ResponseTextDone)]
pub(in crate::openai::responses) struct TextDone {
    sequence_number: u64,
    output_index: usize,
    item_id: String,
    content_index: usize,
    text: String,
    logprobs: Vec<TokenLogprobOut>,
}

/// More thoughts.
#[derive(ToSchema)]
#[schema(as = openai::ResponseReasoningDelta)]
pub(in crate::openai::responses) struct ReasoningDelta {
    sequence_number: u64,
    output_index: usize,
    item_id: String,
    content_index: usize,
    delta: String,
}

/// All thoughts of a part.
#[derive(ToSchema)]
#[schema(as = openai::ResponseReasoningDone)]
pub(in crate::openai::responses) struct ReasoningDone {
    sequence_number: u64,
    output_index: usize,
    item_id: String,
    content_index: usize,
    text: String,
}

/// More of a summary.
#[derive(ToSchema)]
#[schema(as = openai::ResponseSummaryDelta)]
pub(in crate::openai::responses) struct SummaryDelta {
    sequence_number: u64,
    output_index: usize,
    item_id: String,
    summary_index: usize,
    delta: String,
}

/// All of a summary.
#[derive(ToSchema)]
#[schema(as = openai::ResponseSummaryDone)]
pub(in crate::openai::responses) struct SummaryDone {
    sequence_number: u64,
    output_index: usize,
    item_id: String,
    summary_index: usize,
    text: String,
}

/// More of what a tool is called with.
#[derive(ToSchema)]
#[schema(as = openai::ResponseCallDelta)]
pub(in crate::openai::responses) struct CallDelta {
    sequence_number: u64,
    output_index: usize,
    item_id: String,
    delta: String,
}

/// All that a function is called with.
#[derive(ToSchema)]
#[schema(as = openai::ResponseArgumentsDone)]
pub(in crate::openai::responses) struct ArgumentsDone {
    sequence_number: u64,
    output_index: usize,
    item_id: String,
    name: String,
    /// The text of a JSON object.
    arguments: String,
}

/// All that a tool which takes text is called with.
#[derive(ToSchema)]
#[schema(as = openai::ResponseInputDone)]
pub(in crate::openai::responses) struct InputDone {
    sequence_number: u64,
    output_index: usize,
    item_id: String,
    input: String,
}
