//! What chat and plain completions share: the model's name, sampling, what ends an answer.

use base::{AskedSampling, Failure, TokenId};

use super::refuse::invalid;
use super::{Fresh, refuse};
use crate::openai::model::{Count, Number, Seed, SharedFields, Strings};

/// A name or a folder's path; it is repeated in every prompt's request and in messages.
const MODEL_BYTES_MAX: usize = 4096;
/// `OpenAI` allows 4; other servers more.
const STOP_MAX: usize = 16;
/// Longest stop string: the text that may belong to one is held back from the client.
const STOP_BYTES_MAX: usize = 1024;
/// A model has a handful of its own.
const STOP_TOKENS_MAX: usize = 64;
/// Alternatives with each token, as `OpenAI`'s chat API allows.
pub(super) const TOP_LOGPROBS_MAX: u32 = 20;

/// The shared part of a request, validated.
pub(super) struct Shared {
    pub(super) model: String,
    pub(super) sampling: AskedSampling,
    pub(super) max_tokens: Option<u32>,
    pub(super) stop: Vec<String>,
    pub(super) stop_tokens: Vec<TokenId>,
    pub(super) ignore_eos: bool,
}

pub(super) fn shared(fields: SharedFields, fresh: &mut Fresh) -> Result<Shared, Failure> {
    let sampling = sampling(&fields, fresh)?;
    refuse::shared(&fields)?;
    let model = fields.model.filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| {
        refuse::missing("model").hint("GET /v1/models lists the models there are")
    })?;
    if model.len() > MODEL_BYTES_MAX {
        let message = format!("model may have at most {MODEL_BYTES_MAX} bytes");
        return Err(invalid(message, "model"));
    }
    let tokens = fields.stop_token_ids.unwrap_or_default();
    if tokens.len() > STOP_TOKENS_MAX {
        let message = format!("stop_token_ids may have at most {STOP_TOKENS_MAX} entries");
        return Err(invalid(message, "stop_token_ids"));
    }
    Ok(Shared {
        model,
        sampling,
        max_tokens: fields.max_tokens.map(|Count(tokens)| tokens),
        stop: stop(fields.stop)?,
        stop_tokens: tokens.into_iter().map(|Count(token)| token).collect(),
        ignore_eos: fields.ignore_eos.unwrap_or(false),
    })
}

fn sampling(fields: &SharedFields, fresh: &mut Fresh) -> Result<AskedSampling, Failure> {
    let temperature = fields.temperature.map(single);
    if temperature.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
        return Err(invalid("temperature must be from 0 to 2", "temperature"));
    }
    let top_p = fields.top_p.map(single);
    if top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
        let failure = invalid("top_p must be more than 0 and at most 1", "top_p");
        return Err(failure.hint("for the likeliest token alone set temperature to 0"));
    }
    let min_p = fields.min_p.map(single);
    if min_p.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
        return Err(invalid("min_p must be from 0 to 1", "min_p"));
    }
    // Drawn even if it is not needed, so that ids do not depend on whether a seed was given.
    let drawn = fresh.draw();
    Ok(AskedSampling {
        temperature,
        top_p,
        top_k: fields.top_k.map(top_k).transpose()?,
        min_p,
        seed: fields.seed.map_or(drawn, |Seed(seed)| seed),
        repetition_penalty: None,
        frequency_penalty: None,
        presence_penalty: None,
    })
}

fn single(Number(value): Number) -> f32 {
    value as f32
}

fn top_k(value: Number) -> Result<u32, Failure> {
    match value {
        Number(-1.0) => Ok(0),
        Number(count) if count >= 0.0 && count.fract() == 0.0 => {
            // Saturates: no vocabulary is larger.
            Ok(count as u32)
        }
        Number(_) => Err(invalid(
            "top_k must be a whole number, 0 or -1 to keep all tokens",
            "top_k",
        )),
    }
}

fn stop(strings: Option<Strings>) -> Result<Vec<String>, Failure> {
    let Strings(strings) = strings.unwrap_or(Strings(Vec::new()));
    if strings.len() > STOP_MAX {
        let message = format!("stop may have at most {STOP_MAX} strings");
        return Err(invalid(message, "stop"));
    }
    if strings.iter().any(String::is_empty) {
        return Err(invalid("a stop string must not be empty", "stop"));
    }
    if strings.iter().any(|text| text.len() > STOP_BYTES_MAX) {
        let message = format!("a stop string may have at most {STOP_BYTES_MAX} bytes");
        return Err(invalid(message, "stop"));
    }
    Ok(strings)
}
