//! [`base::TokenRequest`] and [`base::TokenEvent`] on the wire.

use base::{ClientId, RequestId, TokenId};
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use crate::codec::Invalid;
use crate::collection::{List, Text};

/// Longest prompt or answer in tokens; above any model's context, below the frames' caps.
pub const TOKENS_MAX: usize = 1 << 20;
/// Most stop strings of one request.
const STOP_STRINGS_MAX: usize = 16;
/// Longest stop string in bytes.
const STOP_BYTES_MAX: usize = 4096;
/// Most stop tokens of one request.
const STOP_TOKENS_MAX: usize = 256;
/// Most alternatives reported with one token.
const ALTERNATIVES_MAX: u32 = 128;
/// Longest grammar in bytes: a coding agent's tools with their schemas take a tenth of it.
const GRAMMAR_BYTES_MAX: usize = 1 << 20;
/// Most tokens with a bias.
const BIASES_MAX: usize = 1024;
/// Most dimensions of a prompt's vector: several times the widest model's, and one fits a frame between nodes.
const DIMENSIONS_MAX: usize = 1 << 16;
/// Most prompt tokens scored in one event.
const SCORED_MAX: usize = 1 << 16;

/// A generation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenRequest {
    id: u64,
    client: u64,
    priority: Priority,
    prompt: List<TokenId, TOKENS_MAX>,
    generated: List<TokenId, TOKENS_MAX>,
    sampling: Sampling,
    max_tokens: u32,
    stop: List<Text<STOP_BYTES_MAX>, STOP_STRINGS_MAX>,
    stop_tokens: List<TokenId, STOP_TOKENS_MAX>,
    logprobs: Option<u32>,
    prompt_logprobs: bool,
    grammar: Option<Grammar>,
    logit_bias: List<(TokenId, f32), BIASES_MAX>,
    pooling: Option<Pooling>,
    prediction: List<TokenId, { base::TokenRequest::PREDICTION_TOKENS_MAX }>,
}

/// How a prompt becomes a vector.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Pooling {
    /// The mean of all tokens.
    Mean,
    /// The last token.
    Last,
}

/// How urgent a request is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Priority {
    /// Somebody waits for every word.
    Urgent,
    /// As any other.
    Usual,
    /// It has time.
    Patient,
}

/// What an answer must be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Grammar {
    /// Valid under a JSON Schema.
    JsonSchema(Text<GRAMMAR_BYTES_MAX>),
    /// Matched by a regular expression.
    Regex(Text<GRAMMAR_BYTES_MAX>),
    /// Derived by a grammar.
    Lark(Text<GRAMMAR_BYTES_MAX>),
}

/// How tokens are chosen.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sampling {
    temperature: f32,
    top_p: f32,
    top_k: u32,
    min_p: f32,
    seed: u64,
    repetition_penalty: f32,
    frequency_penalty: f32,
    presence_penalty: f32,
}

/// What a worker reports about a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum TokenEvent {
    /// Taken on, at that place in the queue.
    Accepted(u32),
    /// So many tokens of the prompt were computed before.
    Recalled(u32),
    /// So many tokens of the prediction were right, and so many wrong.
    Predicted(u32, u32),
    /// Prompt log-probabilities.
    Prompt(List<TokenLogprob, SCORED_MAX>),
    /// A token of the answer.
    Token {
        /// The token.
        token: TokenId,
        /// Its log-probability.
        logprob: Option<TokenLogprob>,
    },
    /// The prompt's vector.
    Embedding(List<f32, DIMENSIONS_MAX>),
    /// The end, by a stop.
    Stopped,
    /// The end, by length.
    LengthReached,
    /// The end, by a failure.
    Failed(Failure),
}

/// A log-probability.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenLogprob {
    token: TokenId,
    logprob: f32,
    top: List<(TokenId, f32), { ALTERNATIVES_MAX as usize }>,
}

impl From<&base::TokenRequest> for TokenRequest {
    fn from(request: &base::TokenRequest) -> Self {
        Self {
            id: request.id.0,
            client: request.client.0,
            priority: request.priority.into(),
            prompt: List(request.prompt.clone()),
            generated: List(request.generated.clone()),
            sampling: Sampling::from(&request.sampling),
            max_tokens: request.max_tokens,
            stop: List(request.stop.iter().map(|stop| Text::whole(stop)).collect()),
            stop_tokens: List(request.stop_tokens.clone()),
            logprobs: request.logprobs,
            prompt_logprobs: request.prompt_logprobs,
            grammar: request.grammar.as_ref().map(Grammar::from),
            logit_bias: List(request.logit_bias.clone()),
            pooling: request.pooling.map(Pooling::from),
            prediction: List(request.prediction.clone()),
        }
    }
}

impl From<base::Pooling> for Pooling {
    fn from(pooling: base::Pooling) -> Self {
        match pooling {
            base::Pooling::Mean => Self::Mean,
            base::Pooling::Last => Self::Last,
        }
    }
}

impl From<Pooling> for base::Pooling {
    fn from(wire: Pooling) -> Self {
        match wire {
            Pooling::Mean => Self::Mean,
            Pooling::Last => Self::Last,
        }
    }
}

impl From<base::Priority> for Priority {
    fn from(priority: base::Priority) -> Self {
        match priority {
            base::Priority::Urgent => Self::Urgent,
            base::Priority::Usual => Self::Usual,
            base::Priority::Patient => Self::Patient,
        }
    }
}

impl From<Priority> for base::Priority {
    fn from(wire: Priority) -> Self {
        match wire {
            Priority::Urgent => Self::Urgent,
            Priority::Usual => Self::Usual,
            Priority::Patient => Self::Patient,
        }
    }
}

impl From<&base::Grammar> for Grammar {
    fn from(grammar: &base::Grammar) -> Self {
        match grammar {
            base::Grammar::JsonSchema(text) => Self::JsonSchema(Text::whole(text)),
            base::Grammar::Regex(text) => Self::Regex(Text::whole(text)),
            base::Grammar::Lark(text) => Self::Lark(Text::whole(text)),
        }
    }
}

impl From<Grammar> for base::Grammar {
    fn from(wire: Grammar) -> Self {
        match wire {
            Grammar::JsonSchema(text) => Self::JsonSchema(text.0),
            Grammar::Regex(text) => Self::Regex(text.0),
            Grammar::Lark(text) => Self::Lark(text.0),
        }
    }
}

impl TryFrom<TokenRequest> for base::TokenRequest {
    type Error = Invalid;

    fn try_from(wire: TokenRequest) -> Result<Self, Invalid> {
        check(!wire.prompt.0.is_empty(), "a prompt without tokens")?;
        check(
            wire.stop.0.iter().all(|stop| !stop.0.is_empty()),
            "an empty stop string",
        )?;
        check(
            wire.logprobs.unwrap_or(0) <= ALTERNATIVES_MAX,
            "too many alternatives asked for",
        )?;
        check(
            wire.logit_bias.0.iter().all(|(_, bias)| bias.is_finite()),
            "a bias that is no number",
        )?;
        check(
            wire.pooling.is_none() || wire.max_tokens == 0,
            "an answer besides a vector",
        )?;
        Ok(Self {
            id: RequestId(wire.id),
            client: ClientId(wire.client),
            priority: wire.priority.into(),
            prompt: wire.prompt.0,
            generated: wire.generated.0,
            sampling: wire.sampling.try_into()?,
            max_tokens: wire.max_tokens,
            stop: wire.stop.0.into_iter().map(|stop| stop.0).collect(),
            stop_tokens: wire.stop_tokens.0,
            logprobs: wire.logprobs,
            prompt_logprobs: wire.prompt_logprobs,
            grammar: wire.grammar.map(Into::into),
            logit_bias: wire.logit_bias.0,
            pooling: wire.pooling.map(Into::into),
            prediction: wire.prediction.0,
        })
    }
}

impl From<&base::Sampling> for Sampling {
    fn from(sampling: &base::Sampling) -> Self {
        let base::Sampling {
            temperature,
            top_p,
            top_k,
            min_p,
            seed,
            penalties,
        } = *sampling;
        Self {
            temperature,
            top_p,
            top_k,
            min_p,
            seed,
            repetition_penalty: penalties.repetition,
            frequency_penalty: penalties.frequency,
            presence_penalty: penalties.presence,
        }
    }
}

impl TryFrom<Sampling> for base::Sampling {
    type Error = Invalid;

    fn try_from(wire: Sampling) -> Result<Self, Invalid> {
        let Sampling {
            temperature,
            top_p,
            top_k,
            min_p,
            seed,
            repetition_penalty: repetition,
            frequency_penalty: frequency,
            presence_penalty: presence,
        } = wire;
        // A NaN is in no range.
        check(
            (0.0..=2.0).contains(&temperature),
            "a temperature outside 0 to 2",
        )?;
        check(top_p > 0.0 && top_p <= 1.0, "a top_p outside (0, 1]")?;
        check((0.0..=1.0).contains(&min_p), "a min_p outside 0 to 1")?;
        check(
            repetition > 0.0 && repetition <= 10.0,
            "a repetition penalty outside (0, 10]",
        )?;
        for penalty in [frequency, presence] {
            check((-2.0..=2.0).contains(&penalty), "a penalty outside -2 to 2")?;
        }
        Ok(Self {
            temperature,
            top_p,
            top_k,
            min_p,
            seed,
            penalties: base::Penalties {
                repetition,
                frequency,
                presence,
            },
        })
    }
}

impl From<&base::TokenEvent> for TokenEvent {
    fn from(event: &base::TokenEvent) -> Self {
        match event {
            &base::TokenEvent::Accepted { position } => Self::Accepted(position),
            &base::TokenEvent::Recalled { tokens } => Self::Recalled(tokens),
            &base::TokenEvent::Predicted { accepted, rejected } => {
                Self::Predicted(accepted, rejected)
            }
            base::TokenEvent::Prompt(scored) => Self::Prompt(List::of(scored)),
            base::TokenEvent::Token { token, logprob } => Self::Token {
                token: *token,
                logprob: logprob.as_ref().map(TokenLogprob::from),
            },
            base::TokenEvent::Embedding(vector) => Self::Embedding(List(vector.clone())),
            base::TokenEvent::Finished(base::FinishReason::Stop) => Self::Stopped,
            base::TokenEvent::Finished(base::FinishReason::Length) => Self::LengthReached,
            base::TokenEvent::Failed(failure) => Self::Failed(failure.into()),
        }
    }
}

impl TryFrom<TokenEvent> for base::TokenEvent {
    type Error = Invalid;

    fn try_from(wire: TokenEvent) -> Result<Self, Invalid> {
        Ok(match wire {
            TokenEvent::Accepted(position) => Self::Accepted { position },
            TokenEvent::Recalled(tokens) => Self::Recalled { tokens },
            TokenEvent::Predicted(accepted, rejected) => Self::Predicted { accepted, rejected },
            TokenEvent::Prompt(scored) => Self::Prompt(scored.each()?),
            TokenEvent::Token { token, logprob } => Self::Token {
                token,
                logprob: logprob.map(TryInto::try_into).transpose()?,
            },
            TokenEvent::Embedding(List(vector)) => {
                let finite = vector.iter().all(|element| element.is_finite());
                check(finite, "a vector with an element that is no number")?;
                Self::Embedding(vector)
            }
            TokenEvent::Stopped => Self::Finished(base::FinishReason::Stop),
            TokenEvent::LengthReached => Self::Finished(base::FinishReason::Length),
            TokenEvent::Failed(failure) => Self::Failed(failure.try_into()?),
        })
    }
}

impl From<&base::TokenLogprob> for TokenLogprob {
    fn from(scored: &base::TokenLogprob) -> Self {
        Self {
            token: scored.token,
            logprob: scored.logprob,
            top: List(scored.top.clone()),
        }
    }
}

impl TryFrom<TokenLogprob> for base::TokenLogprob {
    type Error = Invalid;

    fn try_from(wire: TokenLogprob) -> Result<Self, Invalid> {
        let finite = wire.logprob.is_finite() && wire.top.0.iter().all(|(_, p)| p.is_finite());
        check(finite, "a log-probability that is no number")?;
        Ok(Self {
            token: wire.token,
            logprob: wire.logprob,
            top: wire.top.0,
        })
    }
}

fn check(holds: bool, otherwise: &'static str) -> Result<(), Invalid> {
    if holds {
        Ok(())
    } else {
        Err(Invalid(otherwise))
    }
}
