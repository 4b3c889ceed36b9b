//! Bodies, blocks and streams as a whole, for the `OpenAPI` document alone: they are read in parts and made piece by piece.

#![expect(dead_code, reason = "described, never made")]

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::answer::EventOut;
use super::request::{
    CompactionBlock, Content, DocumentBlock, MessagesFields, SearchResultBlock, TextBlock,
    ThinkingBlock, ToolReferenceBlock, ToolResultBlock, ToolUseBlock,
};
use crate::anthropic::error::Envelope;
use crate::openai::Count;
use crate::openapi::shape::{self, Named};
use crate::standing;

/// A conversation to go on with. Fields that are not known are passed over.
#[derive(ToSchema)]
#[schema(as = anthropic::MessagesRequest)]
pub(crate) struct MessagesRequest {
    #[serde(flatten)]
    fields: MessagesFields,
    #[serde(flatten)]
    standing: standing::Fields,
    max_tokens: Count,
}

/// Whose turn it is.
#[derive(ToSchema)]
#[schema(as = anthropic::Role)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    System,
    User,
    Assistant,
}

/// An event of an answer's stream.
pub(crate) type Sent = shape::Event<StreamEvent>;

/// What an event of an answer's stream says.
#[derive(ToSchema)]
#[schema(as = anthropic::StreamEvent)]
#[serde(untagged)]
pub(crate) enum StreamEvent {
    Event(EventOut),
    Error(Envelope),
}

/// A block of content that is read.
#[derive(ToSchema)]
#[schema(as = anthropic::KnownBlock)]
#[serde(tag = "type", rename_all = "snake_case")]
enum KnownBlock {
    Text(TextBlock),
    Thinking(ThinkingBlock),
    ToolUse(ToolUseBlock),
    ToolResult(ToolResultBlock),
    ToolReference(ToolReferenceBlock),
    SearchResult(SearchResultBlock),
    Document(DocumentBlock),
    Compaction(CompactionBlock),
}

/// A block of content.
struct Block;

impl PartialSchema for Block {
    fn schema() -> RefOr<Schema> {
        let kind = ObjectBuilder::new().schema_type(Type::String);
        let other = ObjectBuilder::new().property("type", kind).required("type");
        let what = "A block that is read, or one that only Claude knows, which is passed over.";
        shape::any_of(what, [shape::of::<KnownBlock>(), other.into()])
    }
}

impl ToSchema for Block {
    fn name() -> Cow<'static, str> {
        "anthropic.Block".into()
    }

    fn schemas(schemas: &mut Named) {
        shape::collect::<KnownBlock>(schemas);
    }
}

impl PartialSchema for Content {
    fn schema() -> RefOr<Schema> {
        let shapes = [shape::text(), shape::list(shape::of::<Block>())];
        shape::any_of("A text, or blocks.", shapes)
    }
}

impl ToSchema for Content {
    fn name() -> Cow<'static, str> {
        "anthropic.Content".into()
    }

    fn schemas(schemas: &mut Named) {
        shape::collect::<Block>(schemas);
    }
}
