//! Which requests can run at all, and what to say to those that cannot.

use std::time::Duration;

use base::{ErrorCode, Failure, RequestId, TokenId, TokenRequest};

use super::Limits;

/// Tokens of cache that a request may come to need.
pub fn cache_tokens(request: &TokenRequest) -> u64 {
    request.prompt.len() as u64 + u64::from(request.max_tokens)
}

/// Refuses what could never run.
pub fn check(request: &TokenRequest, limits: &Limits) -> Result<(), Failure> {
    let invalid = |message: &str| Failure::new(ErrorCode::InvalidRequest, message);
    if request.prompt.is_empty() {
        return Err(invalid("the prompt is empty")
            .hint("send at least one token")
            .param("prompt"));
    }
    let tokens = request.prompt.iter().chain(&request.generated);
    if let Some(token) = tokens
        .max()
        .filter(|&&token| token >= limits.vocabulary_size)
    {
        let message = format!("the prompt has token {token}, which the model does not know");
        let known = limits.vocabulary_size - 1;
        return Err(invalid(&message)
            .hint(format!("token ids go from 0 to {known}"))
            .param("prompt"));
    }
    if request.generated.len() > request.max_tokens as usize {
        return Err(invalid(
            "more tokens were generated already than were asked for",
        ));
    }
    if let Some(token) = request
        .prediction
        .iter()
        .find(|token| **token >= limits.vocabulary_size)
    {
        let message = format!("token {token} is predicted, which the model does not know");
        let known = limits.vocabulary_size - 1;
        return Err(invalid(&message)
            .hint(format!("token ids go from 0 to {known}"))
            .param("prediction"));
    }
    check_bias(&request.logit_bias, limits)?;
    let needed = cache_tokens(request);
    if needed > u64::from(limits.context_tokens_max) {
        return Err(too_long(request, u64::from(limits.context_tokens_max)));
    }
    if needed > limits.cache_tokens_max {
        return Err(too_large(request, limits.cache_tokens_max));
    }
    Ok(())
}

fn check_bias(bias: &[(TokenId, f32)], limits: &Limits) -> Result<(), Failure> {
    let invalid = |message: String, hint: String| {
        let failure = Failure::new(ErrorCode::InvalidRequest, message);
        Err(failure.hint(hint).param("logit_bias"))
    };
    let mut tokens: Vec<TokenId> = bias.iter().map(|(token, _)| *token).collect();
    tokens.sort_unstable();
    if let Some(token) = tokens
        .last()
        .filter(|token| **token >= limits.vocabulary_size)
    {
        let message = format!("there is a bias for token {token}, which the model does not know");
        let known = limits.vocabulary_size - 1;
        return invalid(message, format!("token ids go from 0 to {known}"));
    }
    if tokens.windows(2).any(|pair| pair[0] == pair[1]) {
        let message = "there are two biases for one token".to_owned();
        return invalid(message, "name each token once".to_owned());
    }
    if bias.iter().any(|(_, bias)| !bias.is_finite()) {
        let message = "a bias is not a number".to_owned();
        return invalid(message, "use -100 to keep a token away".to_owned());
    }
    Ok(())
}

fn too_long(request: &TokenRequest, context: u64) -> Failure {
    let prompt = request.prompt.len();
    let message = format!(
        "a prompt of {prompt} tokens and an answer of up to {} do not fit the model's context of {context}",
        request.max_tokens
    );
    Failure::new(ErrorCode::ContextTooLong, message).hint(shorten(prompt as u64, context))
}

fn too_large(request: &TokenRequest, cache_tokens_max: u64) -> Failure {
    let prompt = request.prompt.len();
    let message = format!(
        "a prompt of {prompt} tokens and an answer of up to {} need more memory than was set aside, which is for {cache_tokens_max} tokens",
        request.max_tokens
    );
    Failure::new(ErrorCode::NotEnoughMemory, message).hint(shorten(prompt as u64, cache_tokens_max))
}

fn shorten(prompt: u64, fits: u64) -> String {
    if prompt < fits {
        format!("ask for at most {} tokens", fits - prompt)
    } else {
        format!("shorten the prompt to fewer than {fits} tokens")
    }
}

/// The id is in use.
pub fn known_id(id: RequestId) -> Failure {
    Failure::new(
        ErrorCode::InvalidRequest,
        format!("request {id} is already being answered"),
    )
}

/// Whoever is refused is asked to come back after this time at least: a step takes less.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The same at most: what happened a minute ago says little about what will be.
const RETRY_MAX: Duration = Duration::from_mins(1);

/// The queue is full; a place in it may be free after `pause`.
pub fn overloaded(limits: &Limits, pause: Duration) -> Failure {
    let message = format!(
        "{} requests are being answered and {} are waiting already",
        limits.slots_max, limits.queue_max
    );
    let pause = pause.clamp(RETRY_MIN, RETRY_MAX);
    let seconds = pause.as_secs_f64().ceil() as u64;
    Failure::new(ErrorCode::Overloaded, message)
        .hint(format!("try again in {seconds} s"))
        .retry_after(Duration::from_secs(seconds))
}
