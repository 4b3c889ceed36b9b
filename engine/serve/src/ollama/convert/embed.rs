//! `POST /api/embed`, and `POST /api/embeddings` as it was before.

use base::{EmbedInput, EmbedRequest, Failure, Standing};

use super::{Idle, canonical, name};
use crate::json::Object;
use crate::ollama::model::{EmbedFields, EmbeddingFields, KeepAliveIn, OptionsIn};
use crate::openai::{Count, Fresh, Number, Strings};

/// Vectors that are wanted.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::ollama) struct Embed {
    /// The model as the client wrote it.
    pub(in crate::ollama) model: String,
    /// What is to be done.
    pub(in crate::ollama) work: EmbedWork,
    /// The first so many numbers of each vector; `None` is all.
    pub(in crate::ollama) dimensions: Option<usize>,
}

/// What a request about vectors may ask for.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::ollama) enum EmbedWork {
    /// The vectors of texts.
    Embed(EmbedRequest),
    /// None.
    Idle(Box<Idle>),
}

impl Embed {
    /// Its vectors have this standing.
    pub(in crate::ollama) fn stand(&mut self, standing: Standing) {
        match &mut self.work {
            EmbedWork::Embed(request) => request.standing = standing,
            EmbedWork::Idle(idle) => idle.stand(standing),
        }
    }
}

/// Understands the body of `POST /api/embed`.
pub(in crate::ollama) fn parse_embed(body: &[u8], mut fresh: Fresh) -> Result<Embed, Failure> {
    let fields: EmbedFields = crate::json::parse(body)?;
    let model = name::model(fields.model, None)?;
    let Strings(inputs) = fields.input.unwrap_or(Strings(Vec::new()));
    // One string that is empty is nothing to embed, as no string at all is.
    let inputs = if inputs == [""] { Vec::new() } else { inputs };
    let dimensions = fields.dimensions.map(|Count(count)| count as usize);
    let own = Own {
        truncate: fields.truncate.unwrap_or(true),
        options: fields.options,
        keep_alive: fields.keep_alive,
    };
    Ok(Embed {
        work: work(&model, inputs, own, &mut fresh),
        model,
        dimensions: dimensions.filter(|count| *count > 0),
    })
}

/// Understands the body of `POST /api/embeddings`.
pub(in crate::ollama) fn parse_embedding(body: &[u8], mut fresh: Fresh) -> Result<Embed, Failure> {
    let fields: EmbeddingFields = crate::json::parse(body)?;
    let model = name::model(fields.model, None)?;
    let prompt = fields.prompt.filter(|prompt| !prompt.is_empty());
    let own = Own {
        truncate: true,
        options: fields.options,
        keep_alive: fields.keep_alive,
    };
    Ok(Embed {
        work: work(&model, prompt.into_iter().collect(), own, &mut fresh),
        model,
        dimensions: None,
    })
}

struct Own {
    truncate: bool,
    options: Option<Object<OptionsIn>>,
    keep_alive: Option<KeepAliveIn>,
}

fn work(model: &str, inputs: Vec<String>, own: Own, fresh: &mut Fresh) -> EmbedWork {
    let keep_alive = own.keep_alive.map(|KeepAliveIn(kept)| kept);
    if inputs.is_empty() {
        return EmbedWork::Idle(Box::new(Idle::of(model, keep_alive, fresh)));
    }
    let asked = own.options.and_then(|Object(options)| options.num_ctx);
    EmbedWork::Embed(EmbedRequest {
        id: fresh.request_id(),
        standing: Standing::default(),
        model: canonical(model).to_owned(),
        inputs: inputs.into_iter().map(EmbedInput::Text).collect(),
        truncate: own.truncate,
        // Of no tokens there is no vector, as a request for them is told.
        context_tokens: asked.map(|Number(tokens)| tokens.max(0.0) as u32),
        keep_alive,
    })
}
