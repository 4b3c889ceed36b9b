//! From a request's bytes to what it asks for, validated. Pure; the first fault found is the one reported.

mod chat;
mod context;
mod create;
mod embed;
mod generate;
mod messages;
mod modelfile;
mod name;
mod options;
mod template;
mod tools;

use base::{
    AskedSampling, ErrorCode, Failure, GenerateRequest, Grammar, KeepAlive, Parameters, Prompt,
    Standing,
};
use serde_json::value::RawValue;

pub use chat::parse_chat;
pub(super) use context::{Turn, encode as encode_context};
pub(super) use create::{Create, parse_create};
pub(super) use embed::{Embed, EmbedWork, parse_embed, parse_embedding};
pub use generate::parse_generate;
pub(super) use name::{Named, canonical, parse_copy, parse_name, shown};

use crate::openai::{Count, Fresh};

/// Alternatives with each token, as Ollama allows.
const TOP_LOGPROBS_MAX: u32 = 20;
/// Any JSON object.
const OBJECT: &str = r#"{"type":"object"}"#;

/// A request as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The model as the client wrote it.
    pub model: String,
    /// Whether the answer is sent as it comes.
    pub stream: bool,
    /// What is to be done.
    pub work: Work,
}

impl Asked {
    /// Its answer has this standing.
    pub fn stand(&mut self, standing: Standing) {
        match &mut self.work {
            Work::Generate(generation) => generation.request.standing = standing,
            Work::Idle(idle) => idle.stand(standing),
        }
    }
}

/// What a request about an answer may ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// An answer.
    Generate(Generation),
    /// None.
    Idle(Idle),
}

/// What a request is for that has nothing to answer: a generation of nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Idle {
    /// The model is to be there.
    Load(GenerateRequest),
    /// The model, if it is there, is to go as soon as nobody uses it.
    Unload(GenerateRequest),
}

impl Idle {
    fn of(model: &str, keep_alive: Option<KeepAlive>, fresh: &mut Fresh) -> Self {
        let request = nothing(model, keep_alive, fresh);
        match keep_alive {
            Some(KeepAlive::For(time)) if time.is_zero() => Self::Unload(request),
            Some(KeepAlive::For(_) | KeepAlive::Forever) | None => Self::Load(request),
        }
    }

    fn stand(&mut self, standing: Standing) {
        let (Self::Load(request) | Self::Unload(request)) = self;
        request.standing = standing;
    }
}

/// An answer that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// What to generate.
    pub request: GenerateRequest,
    /// Whether the oldest turns are left out if there is no room for all of them.
    pub truncates: bool,
    /// What the next request needs to go on from this answer, but for the answer itself; `None` if it cannot.
    pub turns: Option<Vec<Turn>>,
}

/// Loads the model, and nothing else. Every vocabulary has a first token.
fn nothing(model: &str, keep_alive: Option<KeepAlive>, fresh: &mut Fresh) -> GenerateRequest {
    GenerateRequest {
        id: fresh.request_id(),
        standing: Standing::default(),
        model: canonical(model).to_owned(),
        prompt: Prompt::Tokens(vec![0]),
        sampling: sampling(&Parameters::default(), fresh),
        max_tokens: Some(0),
        context_tokens: None,
        stop: Vec::new(),
        stop_tokens: Vec::new(),
        logprobs: None,
        echo: false,
        ignore_eos: false,
        grammar: None,
        logit_bias: Vec::new(),
        keep_alive,
        prediction: String::new(),
    }
}

fn sampling(own: &Parameters, fresh: &mut Fresh) -> AskedSampling {
    // Drawn even if it is not needed, so that ids do not depend on whether a seed was given.
    let drawn = fresh.draw();
    AskedSampling {
        temperature: own.temperature,
        top_p: own.top_p,
        top_k: own.top_k,
        min_p: own.min_p,
        seed: own.seed,
        drawn_seed: drawn,
        repetition_penalty: own.repetition_penalty,
        frequency_penalty: own.frequency_penalty,
        presence_penalty: own.presence_penalty,
    }
}

/// `"json"` is any object; a schema stands for itself. Nothing, or an empty string, is no format.
fn format(format: Option<&RawValue>) -> Result<Option<Grammar>, Failure> {
    match format.map(RawValue::get) {
        None | Some("null" | r#""""#) => Ok(None),
        Some(r#""json""#) => Ok(Some(Grammar::JsonSchema(OBJECT.to_owned()))),
        Some(schema) if schema.starts_with('{') => Ok(Some(Grammar::JsonSchema(schema.to_owned()))),
        Some(_) => Err(invalid(
            "format",
            "must be \"json\" or a JSON Schema, which is an object",
        )),
    }
}

/// How many alternatives to report with each token, if any log-probabilities.
fn logprobs(wanted: Option<bool>, top: Option<Count>) -> Result<Option<u32>, Failure> {
    let Count(top) = top.unwrap_or(Count(0));
    if top > TOP_LOGPROBS_MAX {
        let what = format!("must be from 0 to {TOP_LOGPROBS_MAX}");
        return Err(invalid("top_logprobs", &what));
    }
    Ok(wanted.unwrap_or(false).then_some(top))
}

fn no_images(at: &str) -> Failure {
    let failure = invalid(at, "cannot be had: the models here read text alone");
    failure.hint("send the request without images")
}

/// A value that is wrong.
fn invalid(at: impl Into<String>, what: &str) -> Failure {
    let at = at.into();
    Failure::new(ErrorCode::InvalidRequest, format!("{at} {what}")).param(at)
}

/// A field that must be there.
fn missing(at: impl Into<String>) -> Failure {
    invalid(at, "is required")
}

#[cfg(test)]
mod tests;
