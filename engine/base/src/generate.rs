//! One generation as every API dialect asks for it and receives it: neutral, validated, in text.

use std::time::Duration;

use crate::{Conversation, Grammar, RequestId, Standing, TokenId};

/// A validated request for one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateRequest {
    /// Names the request in logs and for cancellation.
    pub id: RequestId,
    /// For whom it is.
    pub standing: Standing,
    /// The model as the client wrote it; resolved by the gateway.
    pub model: String,
    /// What to continue.
    pub prompt: Prompt,
    /// How to choose tokens.
    pub sampling: AskedSampling,
    /// Tokens to generate at most; `None` leaves it to the model, which goes up to the end of the context. Zero only scores
    /// the prompt; [`GenerateRequest::TO_THE_END`] is as many as there is room for.
    pub max_tokens: Option<u32>,
    /// Prompt and answer together may have so many tokens; `None` is all that the model has room for.
    pub context_tokens: Option<u32>,
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
    /// What the answer must be. In a conversation what the model thinks before it answers is free.
    pub grammar: Option<Grammar>,
    /// Added to the logits of these tokens before anything else. At most 1024; finite.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// How long the model stays loaded after this; `None` leaves it to the node.
    pub keep_alive: Option<KeepAlive>,
    /// What the answer will probably be, or much of it: where that is right the answer comes faster, and it says the same
    /// where it is wrong. Empty if nobody knows.
    pub prediction: String,
}

impl GenerateRequest {
    /// For `max_tokens`: all that the context has room for, whatever a derived model has for requests that say nothing.
    pub const TO_THE_END: u32 = u32::MAX;
}

/// How long a model stays loaded after a request. The last request to say so decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// Until its memory is needed or somebody unloads it.
    Forever,
    /// So long without another request; zero unloads it as soon as nobody uses it.
    For(Duration),
}

/// What a generation continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// A conversation, rendered with the model's chat template.
    Chat(Conversation),
    /// A conversation, rendered with this chat template in the place of the model's own.
    Templated {
        /// What is said.
        conversation: Conversation,
        /// The template's source, in Jinja.
        template: String,
    },
    /// Raw text.
    Text(String),
    /// Token ids, taken as they are.
    Tokens(Vec<TokenId>),
    /// What belongs between two texts; only for models that were taught to fill it in.
    Infill {
        /// What stands before it.
        prefix: String,
        /// What stands after it.
        suffix: String,
    },
}

impl Prompt {
    /// The conversation that it is, if it is one.
    pub fn conversation(&self) -> Option<&Conversation> {
        match self {
            Self::Chat(conversation) | Self::Templated { conversation, .. } => Some(conversation),
            Self::Text(_) | Self::Tokens(_) | Self::Infill { .. } => None,
        }
    }
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
    /// What tokens that were there before lose.
    pub penalties: Penalties,
}

/// How tokens that were there before are made less likely, in the order of the fields. Each logit changes before temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Penalties {
    /// Divides a positive logit and multiplies a negative one, for tokens of prompt and answer; `1.0` changes nothing.
    /// In (0, 10]. Keskar and others, "CTRL", 2019, section 4.1.
    pub repetition: f32,
    /// Subtracted for each time that the token is in the answer; `0.0` changes nothing. In [-2, 2].
    pub frequency: f32,
    /// Subtracted once if the token is in the answer; `0.0` changes nothing. In [-2, 2].
    pub presence: f32,
}

impl Penalties {
    /// None at all.
    pub const NONE: Self = Self {
        repetition: 1.0,
        frequency: 0.0,
        presence: 0.0,
    };
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
    pub seed: Option<u64>,
    /// The seed if nobody asks for one.
    pub drawn_seed: u64,
    /// See [`Penalties::repetition`].
    pub repetition_penalty: Option<f32>,
    /// See [`Penalties::frequency`].
    pub frequency_penalty: Option<f32>,
    /// See [`Penalties::presence`].
    pub presence_penalty: Option<f32>,
}

impl AskedSampling {
    /// With what the model recommends in the place of what was left open.
    pub fn or(&self, recommended: &Sampling) -> Sampling {
        Sampling {
            temperature: self.temperature.unwrap_or(recommended.temperature),
            top_p: self.top_p.unwrap_or(recommended.top_p),
            top_k: self.top_k.unwrap_or(recommended.top_k),
            min_p: self.min_p.unwrap_or(recommended.min_p),
            seed: self.seed.unwrap_or(self.drawn_seed),
            penalties: Penalties {
                repetition: self
                    .repetition_penalty
                    .unwrap_or(recommended.penalties.repetition),
                frequency: self
                    .frequency_penalty
                    .unwrap_or(recommended.penalties.frequency),
                presence: self
                    .presence_penalty
                    .unwrap_or(recommended.penalties.presence),
            },
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
        penalties: Penalties::NONE,
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
    /// It waits for its turn, or no longer. Comes when its place changes.
    Queued {
        /// Its place in the queue, from 1; 0 once it runs.
        position: u32,
    },
    /// The prompt itself; only with `echo`.
    Prompt(EchoedPrompt),
    /// The next piece of the answer.
    Delta {
        /// What it adds.
        piece: Piece,
        /// The tokens behind it; empty unless `logprobs` was asked for.
        tokens: Vec<ScoredToken>,
    },
    /// The end.
    Finished {
        /// Why it ended.
        reason: FinishReason,
        /// The stop string that ended it, if one did.
        stop: Option<String>,
        /// What it took.
        usage: Usage,
    },
}

/// What a piece of an answer adds. Texts are valid UTF-8 and may be empty while bytes or a possible mark are held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// More of what is said.
    Text(String),
    /// More of what the model thinks before.
    Reasoning(String),
    /// The next call begins. Calls are counted from 0.
    ToolCall {
        /// Which call.
        index: u32,
        /// The tool's name.
        name: String,
    },
    /// More of the arguments of a call that has begun: pieces of the text of a JSON object.
    Arguments {
        /// Which call.
        index: u32,
        /// What comes next.
        text: String,
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
    /// Tokens of the prompt that did not have to be computed.
    pub cached_tokens: u32,
    /// Tokens generated.
    pub completion_tokens: u32,
    /// Those of them that the model thought.
    pub reasoning_tokens: u32,
    /// Tokens of the request's prediction that were computed as guesses and are what was generated.
    pub accepted_prediction_tokens: u32,
    /// Those that were computed in vain. They are no part of `completion_tokens`.
    pub rejected_prediction_tokens: u32,
}
