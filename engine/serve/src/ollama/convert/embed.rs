//! `POST /api/embed`, and `POST /api/embeddings` as it was before.

use base::{EmbedInput, EmbedRequest, Failure, Standing};

use super::{canonical, name};
use crate::ollama::model::{EmbedFields, EmbeddingFields, KeepAliveIn};
use crate::openai::{Count, Fresh, Strings};

/// Vectors that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ollama) struct Embed {
    /// The model as the client wrote it.
    pub(in crate::ollama) model: String,
    /// Of what. It may have no inputs, and then nothing is to be done.
    pub(in crate::ollama) request: EmbedRequest,
    /// The first so many numbers of each vector; `None` is all.
    pub(in crate::ollama) dimensions: Option<usize>,
}

/// Understands the body of `POST /api/embed`.
pub(in crate::ollama) fn parse_embed(body: &[u8], mut fresh: Fresh) -> Result<Embed, Failure> {
    let fields: EmbedFields = crate::json::parse(body)?;
    let model = name::model(fields.model, None)?;
    let Strings(inputs) = fields.input.unwrap_or(Strings(Vec::new()));
    // One string that is empty is nothing to embed, as no string at all is.
    let inputs = if inputs == [""] { Vec::new() } else { inputs };
    let dimensions = fields.dimensions.map(|Count(count)| count as usize);
    Ok(Embed {
        request: EmbedRequest {
            id: fresh.request_id(),
            standing: Standing::default(),
            model: canonical(&model).to_owned(),
            inputs: inputs.into_iter().map(EmbedInput::Text).collect(),
            truncate: fields.truncate.unwrap_or(true),
            keep_alive: fields.keep_alive.map(|KeepAliveIn(kept)| kept),
        },
        model,
        dimensions: dimensions.filter(|count| *count > 0),
    })
}

/// Understands the body of `POST /api/embeddings`.
pub(in crate::ollama) fn parse_embedding(body: &[u8], mut fresh: Fresh) -> Result<Embed, Failure> {
    let fields: EmbeddingFields = crate::json::parse(body)?;
    let model = name::model(fields.model, None)?;
    let prompt = fields.prompt.filter(|prompt| !prompt.is_empty());
    Ok(Embed {
        request: EmbedRequest {
            id: fresh.request_id(),
            standing: Standing::default(),
            model: canonical(&model).to_owned(),
            inputs: prompt.map(EmbedInput::Text).into_iter().collect(),
            truncate: true,
            keep_alive: fields.keep_alive.map(|KeepAliveIn(kept)| kept),
        },
        model,
        dimensions: None,
    })
}
