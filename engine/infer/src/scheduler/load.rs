//! What a scheduler takes on, and what it says of it.

use base::{CacheWindow, FinishReason};

/// How much a scheduler takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sequences computed at once.
    pub slots_max: u32,
    /// Requests that wait for a slot; more are refused as `Overloaded`.
    pub queue_max: u32,
    /// Tokens in all KV caches together.
    pub cache_tokens_max: u64,
    /// The widest window of layers that do not see all, whose caches hold less.
    pub window: Option<CacheWindow>,
    /// Longest sequence the model knows, in tokens.
    pub context_tokens_max: u32,
    /// Entries of the model's vocabulary.
    pub vocabulary_size: u32,
    /// Layers of the model, on all stages together.
    pub layers: u32,
    /// Steps under way at once: the stages of the pipeline.
    pub stages: u32,
    /// Prompt tokens computed in one step, over all sequences.
    pub prefill_chunk_tokens: u32,
    /// Prompt tokens whose log-probabilities are computed in one step: their logits are all copied to the host.
    pub scoring_chunk_tokens: u32,
    /// Whether to guess what answers go on with and compute some guesses beside each token. Only for a backend that can take
    /// tokens back.
    pub speculates: bool,
    /// Whether a draft model says what they go on with, too.
    pub drafts: bool,
}

/// What became of a submitted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// It runs as soon as there is room.
    Waiting {
        /// Its place in the queue as things stand, from 1; 0 if it runs in the next step.
        position: u32,
    },
    /// There is nothing to compute: its answer was complete already.
    Finished(FinishReason),
}

/// What a scheduler holds now and has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Sequences being computed.
    pub running: u32,
    /// Those of them whose prompt is not read to its end.
    pub reading: u32,
    /// Requests waiting.
    pub waiting: u32,
    /// Tokens of cache that the sequences being computed take.
    pub cache_tokens_reserved: u64,
    /// Prompt tokens computed so far, those of resumed answers included.
    pub prompt_tokens: u64,
    /// Prompt tokens that were found computed.
    pub recalled_tokens: u64,
    /// Tokens generated so far.
    pub generated_tokens: u64,
    /// Guesses at tokens that were computed.
    pub guessed_tokens: u64,
    /// Those of them that were right: a part of `generated_tokens`, which cost no steps of their own.
    pub accepted_tokens: u64,
}
