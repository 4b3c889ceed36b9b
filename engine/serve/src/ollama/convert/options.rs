//! Options, of a request or of a model that is created.

use base::{Failure, GenerateRequest, Parameters};

use super::invalid;
use crate::ollama::model::OptionsIn;
use crate::openai::{Number, Seed, Strings};

/// As many as the engine compares with.
const STOP_MAX: usize = 16;
/// Longest stop string: the text that may belong to one is held back from the client.
const STOP_BYTES_MAX: usize = 1024;

/// `at` is where they stand in the request.
pub(super) fn parameters(options: OptionsIn, at: &str) -> Result<Parameters, Failure> {
    let within = |value: Option<Number>, name: &str, sound: fn(f32) -> bool, what: &str| {
        let value = value.map(|Number(value)| value as f32);
        match value {
            Some(value) if !sound(value) => Err(invalid(format!("{at}.{name}"), what)),
            value => Ok(value),
        }
    };
    let penalty = |value, name| {
        let sound = |value: f32| (-2.0..=2.0).contains(&value);
        within(value, name, sound, "must be from -2 to 2")
    };
    let temperature = |value: f32| (0.0..=2.0).contains(&value);
    let share = |value: f32| (0.0..=1.0).contains(&value);
    let repetition = |value: f32| value > 0.0 && value <= 10.0;
    Ok(Parameters {
        temperature: within(
            options.temperature,
            "temperature",
            temperature,
            "must be from 0 to 2",
        )?,
        // The likeliest token is always kept, and of 0 nothing else is.
        top_p: within(options.top_p, "top_p", share, "must be from 0 to 1")?
            .map(|share| share.max(f32::MIN_POSITIVE)),
        top_k: options.top_k.map(positive).map(Option::unwrap_or_default),
        min_p: within(options.min_p, "min_p", share, "must be from 0 to 1")?,
        repetition_penalty: within(
            options.repeat_penalty,
            "repeat_penalty",
            repetition,
            "must be more than 0 and at most 10",
        )?,
        frequency_penalty: penalty(options.frequency_penalty, "frequency_penalty")?,
        presence_penalty: penalty(options.presence_penalty, "presence_penalty")?,
        seed: options.seed.and_then(seed),
        max_tokens: options.num_predict.map(max_tokens),
        context_tokens: options.num_ctx.and_then(positive),
        stop: stop(options.stop, &format!("{at}.stop"))?,
    })
}

/// What is not positive sets no limit. Fractions are cut off, and no limit is larger than the largest.
fn positive(Number(value): Number) -> Option<u32> {
    (value >= 1.0).then_some(value as u32)
}

/// What is not positive goes on to the end of the context, which is never passed here.
fn max_tokens(asked: Number) -> u32 {
    positive(asked).unwrap_or(GenerateRequest::TO_THE_END)
}

/// Less than nothing asks for a seed that nobody chose.
fn seed(Seed(seed): Seed) -> Option<u64> {
    (seed.cast_signed() >= 0).then_some(seed)
}

fn stop(strings: Option<Strings>, at: &str) -> Result<Vec<String>, Failure> {
    let Strings(strings) = strings.unwrap_or(Strings(Vec::new()));
    if strings.len() > STOP_MAX {
        return Err(invalid(at, &format!("may have at most {STOP_MAX} strings")));
    }
    if strings.iter().any(String::is_empty) {
        return Err(invalid(at, "must not have an empty string"));
    }
    if strings.iter().any(|text| text.len() > STOP_BYTES_MAX) {
        let what = format!("may have strings of at most {STOP_BYTES_MAX} bytes");
        return Err(invalid(at, &what));
    }
    Ok(strings)
}
