//! One generation as a worker sees it: tokens in, tokens out.

use crate::{
    ClientId, Failure, FinishReason, Grammar, Pooling, Priority, RequestId, Sampling, TokenId,
};

/// A generation for rank 0 of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRequest {
    /// Names the request in events and for cancellation.
    pub id: RequestId,
    /// Who asks.
    pub client: ClientId,
    /// How urgent it is.
    pub priority: Priority,
    /// The rendered and tokenized prompt; at least one token.
    pub prompt: Vec<TokenId>,
    /// Tokens of the answer that an earlier placement already produced: they are prefilled like the prompt,
    /// count towards `max_tokens`, prime the stop strings, and are not reported again.
    pub generated: Vec<TokenId>,
    /// How to choose tokens. The draw for a position depends on the seed and the position alone.
    pub sampling: Sampling,
    /// Length of the whole answer at most, `generated` included. Zero only scores the prompt.
    pub max_tokens: u32,
    /// Strings that end the answer.
    pub stop: Vec<String>,
    /// Tokens that end the answer, the model's own included.
    pub stop_tokens: Vec<TokenId>,
    /// How many alternatives to report with each token's log-probability; `None` reports none at all.
    pub logprobs: Option<u32>,
    /// Report the prompt's own log-probabilities, with `logprobs` alternatives each.
    pub prompt_logprobs: bool,
    /// What the answer must be. Where it may end, a stop token ends it; where nothing can follow, it ends by itself.
    pub grammar: Option<Grammar>,
    /// Added to the logits of these tokens before anything else. Each token once; finite.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// Instead of an answer the prompt's vector is wanted, pooled like this. Then `max_tokens` is zero.
    pub pooling: Option<Pooling>,
    /// What the answer will probably be, or much of it; empty if nobody knows. It changes when tokens come, and never which.
    /// At most [`TokenRequest::PREDICTION_TOKENS_MAX`].
    pub prediction: Vec<TokenId>,
}

impl TokenRequest {
    /// Longest prediction: several long files of source code, and a fraction of what a frame between nodes holds.
    pub const PREDICTION_TOKENS_MAX: usize = 1 << 16;
}

/// What a worker reports about a request. The last is `Finished` or `Failed`.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenEvent {
    /// The worker has taken it on. The first event of a submission, and again whenever its place in the queue changes.
    Accepted {
        /// Its place in the queue as things stand, from 1; 0 if it runs in the next step, or has begun to.
        position: u32,
    },
    /// So much of the prompt's beginning was computed for an earlier request and is not computed again. At most once,
    /// before the first token.
    Recalled {
        /// Tokens of the prompt.
        tokens: u32,
    },
    /// A step computed guesses of the prediction. Counts add up; the tokens themselves are told by `Token`.
    Predicted {
        /// Of these so many were what came.
        accepted: u32,
        /// And so many were not.
        rejected: u32,
    },
    /// Log-probabilities of the next prompt tokens, in order, several events for a long prompt.
    /// The prompt's first token has none, so a prompt of n tokens yields n - 1.
    Prompt(Vec<TokenLogprob>),
    /// The next token of the answer. A stop token is reported too, just before `Finished`.
    Token {
        /// The token.
        token: TokenId,
        /// Its log-probability, if asked for.
        logprob: Option<TokenLogprob>,
    },
    /// The prompt's vector, of length 1; just before `Finished`.
    Embedding(Vec<f32>),
    /// The answer is complete.
    Finished(FinishReason),
    /// The request could not be completed; the worker itself goes on.
    Failed(Failure),
}

impl TokenEvent {
    /// Whether nothing follows it.
    pub const fn is_last(&self) -> bool {
        match self {
            Self::Finished(_) | Self::Failed(_) => true,
            Self::Accepted { .. }
            | Self::Recalled { .. }
            | Self::Predicted { .. }
            | Self::Prompt(_)
            | Self::Token { .. }
            | Self::Embedding(_) => false,
        }
    }
}

/// A token's log-probability under the model's own distribution (before temperature and cuts).
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub token: TokenId,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The likeliest tokens, best first.
    pub top: Vec<(TokenId, f32)>,
}
