//! What a request says beside the conversation: the model's name, sampling, what ends an answer, how much to think.

use base::{AskedSampling, Effort, Failure};

use super::{invalid, missing};
use crate::anthropic::model::{MessagesFields, OutputConfig, ThinkingIn};
use crate::json::Object;
use crate::openai::{Count, Fresh, Number};

/// A name or a folder's path; it is repeated in messages.
const MODEL_BYTES_MAX: usize = 4096;
/// As many as the engine compares with; Anthropic allows more, its clients send a handful.
const STOP_MAX: usize = 16;
/// Longest stop string: the text that may belong to one is held back from the client.
const STOP_BYTES_MAX: usize = 1024;
/// Budgets below this ask for a little thought: Claude Code's "think" is 4000.
const LOW_BUDGET_TOKENS: u32 = 4096;
/// Budgets from here on ask for a lot: Claude Code's "think harder" is 31999.
const HIGH_BUDGET_TOKENS: u32 = 16_384;

pub(super) fn model(name: Option<String>) -> Result<String, Failure> {
    let name = name.filter(|name| !name.is_empty());
    let name =
        name.ok_or_else(|| missing("model").hint("GET /v1/models lists the models there are"))?;
    if name.len() > MODEL_BYTES_MAX {
        let what = format!("may have at most {MODEL_BYTES_MAX} bytes");
        return Err(invalid("model", &what));
    }
    Ok(name)
}

pub(super) fn max_tokens(tokens: Option<Count>) -> Result<u32, Failure> {
    match tokens {
        Some(Count(tokens)) => Ok(tokens),
        None => Err(missing("max_tokens")),
    }
}

pub(super) fn sampling(
    fields: &MessagesFields,
    fresh: &mut Fresh,
) -> Result<AskedSampling, Failure> {
    let single = |Number(value): Number| value as f32;
    let temperature = fields.temperature.map(single);
    if temperature.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
        return Err(invalid("temperature", "must be from 0 to 1"));
    }
    let top_p = fields.top_p.map(single);
    if top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
        let failure = invalid("top_p", "must be more than 0 and at most 1");
        return Err(failure.hint("for the likeliest token alone set temperature to 0"));
    }
    Ok(AskedSampling {
        temperature,
        top_p,
        top_k: fields.top_k.map(|Count(count)| count),
        min_p: None,
        seed: None,
        drawn_seed: fresh.draw(),
        repetition_penalty: None,
        frequency_penalty: None,
        presence_penalty: None,
    })
}

pub(super) fn stop(strings: Option<Vec<String>>) -> Result<Vec<String>, Failure> {
    let strings = strings.unwrap_or_default();
    if strings.len() > STOP_MAX {
        let what = format!("may have at most {STOP_MAX} strings");
        return Err(invalid("stop_sequences", &what));
    }
    for (index, text) in strings.iter().enumerate() {
        let at = format!("stop_sequences[{index}]");
        if text.is_empty() {
            return Err(invalid(at, "must not be empty"));
        }
        if text.len() > STOP_BYTES_MAX {
            let what = format!("may have at most {STOP_BYTES_MAX} bytes");
            return Err(invalid(at, &what));
        }
    }
    Ok(strings)
}

/// Models here know a few levels of thinking, not budgets. What the request says of effort counts more than a budget.
pub(super) fn effort(
    thinking: Option<Object<ThinkingIn>>,
    config: Option<&Object<OutputConfig>>,
) -> Result<Option<Effort>, Failure> {
    let named = config.and_then(|Object(config)| config.effort.as_deref());
    let named = named.map(level).transpose()?;
    let Some(Object(thinking)) = thinking else {
        return Ok(named);
    };
    let kind = thinking.kind.ok_or_else(|| missing("thinking.type"))?;
    match kind.as_str() {
        "disabled" => Ok(Some(Effort::Off)),
        "adaptive" | "between_tools" => Ok(named),
        "enabled" => {
            let budget = thinking.budget_tokens;
            let Count(tokens) = budget.ok_or_else(|| missing("thinking.budget_tokens"))?;
            let by_budget = match tokens {
                0..LOW_BUDGET_TOKENS => Effort::Low,
                LOW_BUDGET_TOKENS..HIGH_BUDGET_TOKENS => Effort::Medium,
                HIGH_BUDGET_TOKENS.. => Effort::High,
            };
            Ok(Some(named.unwrap_or(by_budget)))
        }
        _ => Err(invalid(
            "thinking.type",
            "must be enabled, disabled or adaptive",
        )),
    }
}

/// Whether thoughts are thought but not shown.
pub(super) fn omits_thoughts(thinking: Option<&Object<ThinkingIn>>) -> Result<bool, Failure> {
    let display = thinking.and_then(|Object(thinking)| thinking.display.as_deref());
    match display {
        Some("omitted") => Ok(true),
        Some("summarized") | None => Ok(false),
        Some(_) => Err(invalid("thinking.display", "must be summarized or omitted")),
    }
}

fn level(name: &str) -> Result<Effort, Failure> {
    match name {
        "low" => Ok(Effort::Low),
        "medium" => Ok(Effort::Medium),
        "high" | "xhigh" | "max" => Ok(Effort::High),
        _ => Err(invalid(
            "output_config.effort",
            "must be low, medium, high, xhigh or max",
        )),
    }
}
