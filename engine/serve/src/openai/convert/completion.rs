//! Plain completions: one generation for each prompt.

use base::{Failure, GenerateRequest, Prompt, Standing};

use super::Fresh;
use super::refuse::{self, invalid, missing};
use super::sampling::{self, TOP_LOGPROBS_MAX};
use crate::openai::model::{CompletionFields, Count, Prompts, SharedFields};

/// `OpenAI`'s default.
const MAX_TOKENS_DEFAULT: u32 = 16;

/// How many answers to each prompt are wanted, and a request for each of them.
pub(super) fn requests(
    shared: SharedFields,
    fields: CompletionFields,
    fresh: &mut Fresh,
) -> Result<(usize, Vec<GenerateRequest>), Failure> {
    let shared = sampling::shared(shared, fresh)?;
    refuse::completion(&fields)?;
    let logprobs = logprobs(fields.logprobs)?;
    let prompts = prompts(fields.prompt)?;
    let mut requests = Vec::with_capacity(prompts.len());
    for prompt in prompts {
        let request = GenerateRequest {
            id: fresh.request_id(),
            standing: Standing::default(),
            model: shared.model.clone(),
            prompt,
            sampling: shared.sampling,
            max_tokens: Some(shared.max_tokens.unwrap_or(MAX_TOKENS_DEFAULT)),
            stop: shared.stop.clone(),
            stop_tokens: shared.stop_tokens.clone(),
            logprobs,
            echo: fields.echo.unwrap_or(false),
            ignore_eos: shared.ignore_eos,
            grammar: shared.grammar.clone(),
            logit_bias: shared.logit_bias.clone(),
            keep_alive: None,
        };
        requests.extend(sampling::each_answer(request, shared.answers, fresh));
    }
    Ok((shared.answers as usize, requests))
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

fn prompts(prompts: Option<Prompts>) -> Result<Vec<Prompt>, Failure> {
    let prompts: Vec<Prompt> = match prompts.ok_or_else(|| missing("prompt"))? {
        Prompts::Texts(texts) => texts.into_iter().map(Prompt::Text).collect(),
        Prompts::Tokens(lists) => lists.into_iter().map(Prompt::Tokens).collect(),
    };
    let no_tokens = |prompt: &Prompt| matches!(prompt, Prompt::Tokens(tokens) if tokens.is_empty());
    if prompts.is_empty() || prompts.iter().any(no_tokens) {
        let failure = invalid("prompt is empty", "prompt");
        return Err(failure.hint("send a text or at least one token"));
    }
    Ok(prompts)
}
