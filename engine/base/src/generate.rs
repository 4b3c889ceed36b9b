//! One generation as every API dialect asks for it and receives it: neutral, validated, in text.

use crate::{RequestId, TokenId};

/// A validated request for one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateRequest {
    /// Names the request in logs and for cancellation.
    pub id: RequestId,
    /// The model as the client wrote it; resolved by the gateway.
    pub model: String,
    /// What to continue.
    pub prompt: Prompt,
    /// How to choose tokens.
    pub sampling: AskedSampling,
    /// Tokens to generate at most; `None` means up to the end of the context. Zero only scores the prompt.
    pub max_tokens: Option<u32>,
    /// Strings that end the answer and are not part of it. At most 16, none empty.
    pub stop: Vec<String>,
    /// Tokens that end the answer, besides the model's own.
    pub stop_tokens: Vec<TokenId>,
    /// How many alternatives to report with each token's log-probability; `None` reports none at all.
    pub logprobs: Option<u32>,
    /// Give the prompt back first (with its log-probabilities if `logprobs` is set).
    pub echo: bool,
    /// Go on past the model's own end-of-answer tokens. For benchmarks.
    pub ignore_eos: bool,
}

/// What a generation continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// A conversation, rendered with the model's chat template.
    Chat(Vec<Message>),
    /// Raw text.
    Text(String),
    /// Token ids, taken as they are.
    Tokens(Vec<TokenId>),
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// Who speaks in a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions (`developer` counts as this).
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// How the next token is chosen. Temperature first, then top-k, top-p and min-p cut the distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the logits; `0.0` is greedy. Finite, 0 to 2.
    pub temperature: f32,
    /// Keep the smallest set whose probability reaches this; `1.0` keeps all. In (0, 1].
    pub top_p: f32,
    /// Keep this many of the likeliest; `0` keeps all.
    pub top_k: u32,
    /// Drop what is less likely than this times the likeliest; `0.0` drops none. In [0, 1].
    pub min_p: f32,
    /// With the position in the answer it decides every draw: same seed, same text, wherever it runs.
    pub seed: u64,
}

/// What a request says about [`Sampling`]; what it leaves open is as the model's makers recommend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AskedSampling {
    /// See [`Sampling::temperature`].
    pub temperature: Option<f32>,
    /// See [`Sampling::top_p`].
    pub top_p: Option<f32>,
    /// See [`Sampling::top_k`].
    pub top_k: Option<u32>,
    /// See [`Sampling::min_p`].
    pub min_p: Option<f32>,
    /// See [`Sampling::seed`].
    pub seed: u64,
}

impl AskedSampling {
    /// With what the model recommends in the place of what was left open.
    pub fn or(&self, recommended: &Sampling) -> Sampling {
        Sampling {
            temperature: self.temperature.unwrap_or(recommended.temperature),
            top_p: self.top_p.unwrap_or(recommended.top_p),
            top_k: self.top_k.unwrap_or(recommended.top_k),
            min_p: self.min_p.unwrap_or(recommended.min_p),
            seed: self.seed,
        }
    }
}

impl Sampling {
    /// The model's own distribution, as it is.
    pub const PLAIN: Self = Self {
        temperature: 1.0,
        ..Self::GREEDY
    };

    /// Always the likeliest token.
    pub const GREEDY: Self = Self {
        temperature: 0.0,
        top_p: 1.0,
        top_k: 0,
        min_p: 0.0,
        seed: 0,
    };
}

/// One step of an answer. First `Started`, last `Finished`; an error ends the stream instead of `Finished`.
#[derive(Debug, Clone, PartialEq)]
pub enum GenerateEvent {
    /// The request was accepted and its prompt tokenized.
    Started {
        /// The model's own name, whatever alias the request used.
        model: String,
        /// Length of the prompt in tokens.
        prompt_tokens: u32,
    },
    /// The prompt itself; only with `echo`.
    Prompt(EchoedPrompt),
    /// The next piece of the answer. `text` may be empty while bytes or a possible stop string are held back.
    Delta {
        /// New text, valid UTF-8.
        text: String,
        /// The tokens behind it; empty unless `logprobs` was asked for.
        tokens: Vec<ScoredToken>,
    },
    /// The end.
    Finished {
        /// Why it ended.
        reason: FinishReason,
        /// What it took.
        usage: Usage,
    },
}

/// The prompt given back.
#[derive(Debug, Clone, PartialEq)]
pub struct EchoedPrompt {
    /// The prompt's text.
    pub text: String,
    /// The prompt's tokens; empty unless `logprobs` was asked for. The first has no log-probability.
    pub tokens: Vec<ScoredToken>,
}

/// A token with its text and log-probability.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredToken {
    /// The token.
    pub token: TokenId,
    /// Its bytes: part of a character is possible.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability; `None` for the first token of a prompt.
    pub logprob: Option<f32>,
    /// The likeliest alternatives, best first: token, bytes, log-probability.
    pub top: Vec<(TokenId, Vec<u8>, f32)>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or a stop string or stop token did.
    Stop,
    /// `max_tokens` or the end of the context.
    Length,
}

/// What a generation took, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens generated.
    pub completion_tokens: u32,
}
