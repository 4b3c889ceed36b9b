//! What chat and plain completions share: the model's name, sampling, what ends an answer.

use std::collections::BTreeMap;

use base::{AskedSampling, Failure, GenerateRequest, Grammar, TokenId};

use super::refuse::invalid;
use super::{Fresh, format, refuse};
use crate::openai::model::{Count, Number, Seed, SharedFields, Strings};

/// A name or a folder's path; it is repeated in every prompt's request and in messages.
const MODEL_BYTES_MAX: usize = 4096;
/// `OpenAI` allows 4; other servers more.
const STOP_MAX: usize = 16;
/// Longest stop string: the text that may belong to one is held back from the client.
const STOP_BYTES_MAX: usize = 1024;
/// A model has a handful of its own.
const STOP_TOKENS_MAX: usize = 64;
/// Answers to one prompt: `OpenAI` allows 128, which a machine of one's own computes for hours.
pub(super) const ANSWERS_MAX: u32 = 32;
/// `OpenAI`'s bounds of a bias.
const BIAS_MAX: f64 = 100.0;
/// `OpenAI` allows 300.
const BIASES_MAX: usize = 1024;
/// Alternatives with each token, as `OpenAI`'s chat API allows.
pub(in crate::openai) const TOP_LOGPROBS_MAX: u32 = 20;

/// The shared part of a request, validated.
pub(super) struct Shared {
    pub(super) model: String,
    pub(super) sampling: AskedSampling,
    pub(super) max_tokens: Option<u32>,
    pub(super) stop: Vec<String>,
    pub(super) stop_tokens: Vec<TokenId>,
    pub(super) ignore_eos: bool,
    pub(super) logit_bias: Vec<(TokenId, f32)>,
    /// What `structured_outputs` says.
    pub(super) grammar: Option<Grammar>,
    /// How many answers.
    pub(super) answers: u32,
}

pub(super) fn shared(fields: SharedFields, fresh: &mut Fresh) -> Result<Shared, Failure> {
    let sampling = sampling(&fields, fresh)?;
    let model = model(fields.model)?;
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
        logit_bias: logit_bias(fields.logit_bias)?,
        grammar: format::structured_outputs(fields.structured_outputs)?,
        answers: answers(fields.n)?,
    })
}

/// The model's name, which must be there.
pub(in crate::openai) fn model(name: Option<String>) -> Result<String, Failure> {
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
        refuse::missing("model").hint("GET /v1/models lists the models there are")
    })?;
    if name.len() > MODEL_BYTES_MAX {
        let message = format!("model may have at most {MODEL_BYTES_MAX} bytes");
        return Err(invalid(message, "model"));
    }
    Ok(name)
}

/// As many requests as answers are wanted, each with its own id and seed: the same `n` requests give the same `n` answers.
pub(super) fn each_answer(
    request: GenerateRequest,
    answers: u32,
    fresh: &mut Fresh,
) -> Vec<GenerateRequest> {
    let mut others = Vec::new();
    for answer in 1..answers {
        let mut other = request.clone();
        other.id = fresh.request_id();
        let sampling = &mut other.sampling;
        let own = |seed: u64| seed.wrapping_add(u64::from(answer));
        (sampling.seed, sampling.drawn_seed) = (sampling.seed.map(own), own(sampling.drawn_seed));
        others.push(other);
    }
    std::iter::once(request).chain(others).collect()
}

fn answers(wanted: Option<Count>) -> Result<u32, Failure> {
    match wanted {
        None => Ok(1),
        Some(Count(count)) if (1..=ANSWERS_MAX).contains(&count) => Ok(count),
        Some(_) => Err(invalid(format!("n must be from 1 to {ANSWERS_MAX}"), "n")),
    }
}

fn logit_bias(biases: Option<BTreeMap<String, Number>>) -> Result<Vec<(TokenId, f32)>, Failure> {
    let biases = biases.unwrap_or_default();
    if biases.len() > BIASES_MAX {
        let message = format!("logit_bias may have at most {BIASES_MAX} tokens");
        return Err(invalid(message, "logit_bias"));
    }
    let mut by_token = BTreeMap::new();
    for (token, Number(bias)) in biases {
        let at = format!("logit_bias.{token}");
        let id = token.parse::<TokenId>();
        let id = id.map_err(|_| invalid(format!("{at}: its name must be a token id"), &at))?;
        if !(-BIAS_MAX..=BIAS_MAX).contains(&bias) {
            let message = format!("{at} must be from -{BIAS_MAX} to {BIAS_MAX}");
            return Err(invalid(message, at));
        }
        // Written differently it may be there twice.
        by_token.insert(id, bias as f32);
    }
    Ok(by_token.into_iter().collect())
}

fn sampling(fields: &SharedFields, fresh: &mut Fresh) -> Result<AskedSampling, Failure> {
    let temperature = temperature(fields.temperature)?;
    let top_p = top_p(fields.top_p)?;
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
        seed: fields.seed.map(|Seed(seed)| seed),
        drawn_seed: drawn,
        repetition_penalty: repetition_penalty(fields.repetition_penalty)?,
        frequency_penalty: penalty(fields.frequency_penalty, "frequency_penalty")?,
        presence_penalty: penalty(fields.presence_penalty, "presence_penalty")?,
    })
}

pub(in crate::openai) fn temperature(value: Option<Number>) -> Result<Option<f32>, Failure> {
    let value = value.map(single);
    if value.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
        return Err(invalid("temperature must be from 0 to 2", "temperature"));
    }
    Ok(value)
}

pub(in crate::openai) fn top_p(value: Option<Number>) -> Result<Option<f32>, Failure> {
    let value = value.map(single);
    if value.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
        let failure = invalid("top_p must be more than 0 and at most 1", "top_p");
        return Err(failure.hint("for the likeliest token alone set temperature to 0"));
    }
    Ok(value)
}

pub(in crate::openai) fn penalty(
    value: Option<Number>,
    param: &str,
) -> Result<Option<f32>, Failure> {
    let value = value.map(single);
    if value.is_some_and(|value| !(-2.0..=2.0).contains(&value)) {
        return Err(invalid(format!("{param} must be from -2 to 2"), param));
    }
    Ok(value)
}

fn repetition_penalty(value: Option<Number>) -> Result<Option<f32>, Failure> {
    let value = value.map(single);
    if value.is_some_and(|value| !(value > 0.0 && value <= 10.0)) {
        let message = "repetition_penalty must be more than 0 and at most 10";
        return Err(invalid(message, "repetition_penalty"));
    }
    Ok(value)
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
