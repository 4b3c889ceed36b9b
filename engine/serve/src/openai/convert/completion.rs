//! Plain completions: one generation for each prompt.

use base::{Failure, GenerateRequest, Prompt, Standing};

use super::refuse::{invalid, missing};
use super::sampling::{self, ANSWERS_MAX, TOP_LOGPROBS_MAX};
use super::{Best, Fresh};
use crate::openai::model::{CompletionFields, Count, Prompts, SharedFields};

/// `OpenAI`'s default.
const MAX_TOKENS_DEFAULT: u32 = 16;

/// What is wanted of each prompt.
pub(super) struct Wanted {
    /// Answers.
    pub(super) answers: usize,
    /// Which of them are given, if not all are.
    pub(super) best: Option<Best>,
    /// One for each answer to each prompt.
    pub(super) requests: Vec<GenerateRequest>,
}

pub(super) fn requests(
    shared: SharedFields,
    fields: CompletionFields,
    fresh: &mut Fresh,
) -> Result<Wanted, Failure> {
    let streams = shared.stream.unwrap_or(false);
    let shared = sampling::shared(shared, fresh)?;
    let best = best_of(fields.best_of, shared.answers, streams)?;
    let answers = best.unwrap_or(shared.answers);
    let echo = fields.echo.unwrap_or(false);
    let scored = fields.logprobs.is_some();
    // What is best is told by them.
    let logprobs = logprobs(fields.logprobs)?.or(best.map(|_| 0));
    let suffix = fields.suffix.filter(|suffix| !suffix.is_empty());
    if echo && suffix.is_some() {
        return Err(invalid("echo cannot be used together with suffix", "echo"));
    }
    let mut requests = Vec::new();
    for prompt in prompts(fields.prompt, suffix.as_deref())? {
        let request = GenerateRequest {
            id: fresh.request_id(),
            standing: Standing::default(),
            model: shared.model.clone(),
            prompt,
            sampling: shared.sampling,
            max_tokens: Some(shared.max_tokens.unwrap_or(MAX_TOKENS_DEFAULT)),
            context_tokens: None,
            stop: shared.stop.clone(),
            stop_tokens: shared.stop_tokens.clone(),
            logprobs,
            echo,
            ignore_eos: shared.ignore_eos,
            grammar: shared.grammar.clone(),
            logit_bias: shared.logit_bias.clone(),
            keep_alive: None,
            prediction: String::new(),
        };
        requests.extend(sampling::each_answer(request, answers, fresh));
    }
    Ok(Wanted {
        answers: answers as usize,
        best: best.map(|_| Best {
            given: shared.answers as usize,
            scored,
        }),
        requests,
    })
}

/// How many answers the best are chosen from, if there is a choice.
fn best_of(count: Option<Count>, answers: u32, streams: bool) -> Result<Option<u32>, Failure> {
    match count {
        None => Ok(None),
        Some(Count(count)) if count == answers => Ok(None),
        Some(Count(count)) if count < answers || count > ANSWERS_MAX => {
            let message = format!("best_of must be from n, which is {answers}, to {ANSWERS_MAX}");
            Err(invalid(message, "best_of"))
        }
        Some(_) if streams => {
            let failure = invalid(
                "which answer is the best is known when all are whole",
                "best_of",
            );
            Err(failure.hint("leave out stream or best_of"))
        }
        Some(Count(count)) => Ok(Some(count)),
    }
}

fn logprobs(wanted: Option<Count>) -> Result<Option<u32>, Failure> {
    match wanted {
        Some(Count(top)) if top > TOP_LOGPROBS_MAX => {
            let message = format!("logprobs must be from 0 to {TOP_LOGPROBS_MAX}");
            Err(invalid(message, "logprobs"))
        }
        wanted => Ok(wanted.map(|Count(top)| top)),
    }
}

fn prompts(prompts: Option<Prompts>, suffix: Option<&str>) -> Result<Vec<Prompt>, Failure> {
    let text = |text| match suffix {
        Some(suffix) => Prompt::Infill {
            prefix: text,
            suffix: suffix.to_owned(),
        },
        None => Prompt::Text(text),
    };
    let prompts: Vec<Prompt> = match prompts.ok_or_else(|| missing("prompt"))? {
        Prompts::Texts(texts) => texts.into_iter().map(text).collect(),
        Prompts::Tokens(_) if suffix.is_some() => {
            return Err(invalid("with a suffix, prompt must be text", "prompt"));
        }
        Prompts::Tokens(lists) => lists.into_iter().map(Prompt::Tokens).collect(),
    };
    let no_tokens = |prompt: &Prompt| matches!(prompt, Prompt::Tokens(tokens) if tokens.is_empty());
    if prompts.is_empty() || prompts.iter().any(no_tokens) {
        let failure = invalid("prompt is empty", "prompt");
        return Err(failure.hint("send a text or at least one token"));
    }
    Ok(prompts)
}
