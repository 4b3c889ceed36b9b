//! What a model makes of texts as vectors.

use std::time::Duration;

use crate::{KeepAlive, RequestId, Standing, TokenId};

/// A validated request for the vectors of some texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedRequest {
    /// Names the request in logs.
    pub id: RequestId,
    /// For whom, how urgently and for how long.
    pub standing: Standing,
    /// The model as the client wrote it; resolved by the gateway.
    pub model: String,
    /// What to embed, at least one.
    pub inputs: Vec<EmbedInput>,
    /// Whether an input that is longer than the model's context is cut at its end; otherwise it is refused.
    pub truncate: bool,
    /// No input has more tokens than that; `None` is all that the model has room for.
    pub context_tokens: Option<u32>,
    /// How long the model stays loaded after this; `None` leaves it to the node.
    pub keep_alive: Option<KeepAlive>,
}

/// One text to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbedInput {
    /// Raw text.
    Text(String),
    /// Token ids, taken as they are.
    Tokens(Vec<TokenId>),
}

/// How the final hidden states of a text's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// That of the last token, which has seen all others.
    Last,
}

/// The vectors of a request's inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The model's own name, whatever alias the request used.
    pub model: String,
    /// One for each input, in order, of length 1 (Euclidean norm) and all with as many dimensions as the model is wide.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all inputs together, special tokens included.
    pub prompt_tokens: u32,
    /// Time until the model was there.
    pub loading: Duration,
}
