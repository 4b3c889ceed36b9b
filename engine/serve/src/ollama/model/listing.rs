//! Models as they are listed, shown and changed.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Of `/api/version`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::Version)]
pub(in crate::ollama) struct Version {
    pub(in crate::ollama) version: &'static str,
}

/// Of `/api/tags`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::ModelList)]
pub(in crate::ollama) struct ModelList {
    pub(in crate::ollama) models: Vec<Model>,
}

/// A model that requests may name.
#[expect(clippy::struct_field_names, reason = "Ollama's own names")]
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::Model)]
pub(in crate::ollama) struct Model {
    pub(in crate::ollama) name: String,
    pub(in crate::ollama) model: String,
    pub(in crate::ollama) modified_at: String,
    pub(in crate::ollama) size: u64,
    pub(in crate::ollama) digest: String,
    pub(in crate::ollama) details: Details,
}

/// What a model is, in short.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ollama::ModelDetails)]
pub(in crate::ollama) struct Details {
    pub(in crate::ollama) parent_model: String,
    pub(in crate::ollama) format: &'static str,
    pub(in crate::ollama) family: String,
    pub(in crate::ollama) families: Vec<String>,
    pub(in crate::ollama) parameter_size: String,
    pub(in crate::ollama) quantization_level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ollama) context_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ollama) embedding_length: Option<u64>,
}

/// Of `/api/ps`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::LoadedModelList)]
pub(in crate::ollama) struct LoadedList {
    pub(in crate::ollama) models: Vec<Loaded>,
}

/// A model that is loaded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::LoadedModel)]
pub(in crate::ollama) struct Loaded {
    pub(in crate::ollama) name: String,
    pub(in crate::ollama) model: String,
    pub(in crate::ollama) size: u64,
    pub(in crate::ollama) digest: String,
    pub(in crate::ollama) details: Details,
    pub(in crate::ollama) expires_at: String,
    pub(in crate::ollama) size_vram: u64,
    pub(in crate::ollama) context_length: u32,
}

/// Of `/api/show`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::ModelShown)]
pub(in crate::ollama) struct Show {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::ollama) license: String,
    pub(in crate::ollama) modelfile: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::ollama) parameters: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::ollama) template: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::ollama) system: String,
    pub(in crate::ollama) details: Details,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::ollama) messages: Vec<ShownMessage>,
    pub(in crate::ollama) model_info: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::ollama) tensors: Vec<Tensor>,
    pub(in crate::ollama) capabilities: Vec<&'static str>,
    pub(in crate::ollama) modified_at: String,
}

/// A turn that comes before those of each conversation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::ShownMessage)]
pub(in crate::ollama) struct ShownMessage {
    pub(in crate::ollama) role: &'static str,
    pub(in crate::ollama) content: String,
}

/// A tensor of a model's weights.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ollama::Tensor)]
pub(in crate::ollama) struct Tensor {
    pub(in crate::ollama) name: String,
    #[serde(rename = "type")]
    pub(in crate::ollama) kind: String,
    pub(in crate::ollama) shape: Vec<u64>,
}

/// A step of what takes several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ollama::Progress)]
pub(in crate::ollama) struct Progress {
    pub(in crate::ollama) status: String,
    /// Of what bytes come: the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ollama) digest: Option<String>,
    /// Bytes in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ollama) total: Option<u64>,
    /// Bytes that are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ollama) completed: Option<u64>,
}

impl Progress {
    /// A step that is told by words alone.
    pub(in crate::ollama) fn status(status: &str) -> Self {
        Self {
            status: status.to_owned(),
            ..Self::default()
        }
    }
}
