//! Bodies and streams as a whole, and values that may come in several shapes, for the `OpenAPI` document alone.

#![expect(dead_code, reason = "described, never made")]

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::scalar::{Images, KeepAliveIn, License, ThinkIn};
use super::{
    AnswerOut, ChatFields, EmbedFields, EmbeddingFields, GenerateFields, MetricsOut, Progress,
};
use crate::ollama::error::Envelope;
use crate::openapi::shape;
use crate::standing;

/// A conversation to go on with. Fields that are not known are passed over.
#[derive(ToSchema)]
#[schema(as = ollama::ChatRequest)]
pub(in crate::ollama) struct ChatRequest {
    #[serde(flatten)]
    fields: ChatFields,
    #[serde(flatten)]
    standing: standing::Fields,
}

/// A text to go on with. Fields that are not known are passed over.
#[derive(ToSchema)]
#[schema(as = ollama::GenerateRequest)]
pub(in crate::ollama) struct GenerateRequest {
    #[serde(flatten)]
    fields: GenerateFields,
    #[serde(flatten)]
    standing: standing::Fields,
}

/// Texts to make vectors of. Fields that are not known are passed over.
#[derive(ToSchema)]
#[schema(as = ollama::EmbedRequest)]
pub(in crate::ollama) struct EmbedRequest {
    #[serde(flatten)]
    fields: EmbedFields,
    #[serde(flatten)]
    standing: standing::Fields,
}

/// A text to make a vector of. Fields that are not known are passed over.
#[derive(ToSchema)]
#[schema(as = ollama::EmbeddingRequest)]
pub(in crate::ollama) struct EmbeddingRequest {
    #[serde(flatten)]
    fields: EmbeddingFields,
    #[serde(flatten)]
    standing: standing::Fields,
}

/// A line of a stream.
#[expect(clippy::large_enum_variant, reason = "never made")]
#[derive(ToSchema)]
#[schema(as = ollama::AnswerLine)]
#[serde(untagged)]
pub(in crate::ollama) enum AnswerLine {
    Answer(AnswerOut),
    Error(Envelope),
}

/// A line of what takes several steps.
#[derive(ToSchema)]
#[schema(as = ollama::ProgressLine)]
#[serde(untagged)]
pub(in crate::ollama) enum ProgressLine {
    Progress(Progress),
    Error(Envelope),
}

/// What an answer took, or nothing of that.
pub(in crate::ollama) struct SomeMetrics;

impl PartialSchema for SomeMetrics {
    fn schema() -> RefOr<Schema> {
        let nothing = ObjectBuilder::new().schema_type(Type::Object);
        let what = "What an answer took, in its last part.";
        shape::any_of(what, [shape::of::<MetricsOut>(), nothing.into()])
    }
}

impl ToSchema for SomeMetrics {
    fn name() -> Cow<'static, str> {
        "ollama.SomeAnswerMetrics".into()
    }

    fn schemas(schemas: &mut shape::Named) {
        shape::collect::<MetricsOut>(schemas);
    }
}

impl PartialSchema for KeepAliveIn {
    fn schema() -> RefOr<Schema> {
        let what = "Seconds, or a duration like `5m`; less than nothing is for ever.";
        shape::any_of(what, [shape::number(), shape::text()])
    }
}

impl ToSchema for KeepAliveIn {
    fn name() -> Cow<'static, str> {
        "ollama.KeepAlive".into()
    }
}

impl PartialSchema for ThinkIn {
    fn schema() -> RefOr<Schema> {
        let level = ObjectBuilder::new().schema_type(Type::String);
        let level = level.enum_values(Some(["low", "medium", "high", "max"]));
        let switch = ObjectBuilder::new().schema_type(Type::Boolean);
        let what = "Whether and how much to think.";
        shape::any_of(what, [switch.into(), level.into()])
    }
}

impl ToSchema for ThinkIn {
    fn name() -> Cow<'static, str> {
        "ollama.Think".into()
    }
}

impl PartialSchema for Images {
    fn schema() -> RefOr<Schema> {
        let anything =
            ObjectBuilder::new().schema_type(utoipa::openapi::schema::SchemaType::AnyValue);
        shape::list(anything.into())
    }
}

impl ToSchema for Images {
    fn name() -> Cow<'static, str> {
        "ollama.Images".into()
    }
}

impl PartialSchema for License {
    fn schema() -> RefOr<Schema> {
        let shapes = [shape::text(), shape::list(shape::text())];
        shape::any_of("A text, or several.", shapes)
    }
}

impl ToSchema for License {
    fn name() -> Cow<'static, str> {
        "ollama.License".into()
    }
}
