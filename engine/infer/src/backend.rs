//! What a step is, and the trait behind which the model computes it.
//!
//! A step is a ragged batch: prefill chunks and single decode tokens of several sequences side by side. The same plan
//! runs on every rank, so that all of them issue the same collectives in the same order.

use std::ops::Range;

use base::TokenId;

/// One sequence's place in the backend: its KV cache. Small numbers, used again after they were freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

/// What every rank does in one step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepPlan {
    /// Caches to drop, before any row runs. A slot freed here may be begun again by a row of the same plan. One whose
    /// recall found nothing may have none.
    pub free: Vec<SlotId>,
    /// Slots to begin with what is kept of earlier sequences; none of them has a row in the same plan.
    pub recalls: Vec<Recall>,
    /// What to compute; each row has another slot. Empty when a plan does nothing else.
    pub rows: Vec<Row>,
}

/// Begins a slot with the longest beginning of `tokens` that all ranks have kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// An empty slot.
    pub slot: SlotId,
    /// Whole blocks of [`BLOCK_TOKENS`](crate::prefix::BLOCK_TOKENS); at least one.
    pub tokens: Vec<TokenId>,
}

/// The next tokens of one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose cache they extend.
    pub slot: SlotId,
    /// Position of the first of them in the sequence, which is the number of tokens in the slot's cache. `0` makes
    /// the cache, unless a recall did. Of what the row before had [guessed](Outputs::Guessed) the cache loses what is from here
    /// on: it was wrong.
    pub start: u32,
    /// At least one.
    pub tokens: Vec<TokenId>,
    /// Where they go through the model in several steps, the layers of this one, which follow on those of the one before.
    /// Until they have been through all, the row is the same but for this, nothing is needed of it, and no other one
    /// extends the cache.
    pub layers: Option<LayerPart>,
    /// What rank 0 needs of these positions.
    pub outputs: Outputs,
}

impl Row {
    /// Whether its tokens have not been through all layers after it.
    pub fn goes_on(&self) -> bool {
        self.layers.is_some_and(LayerPart::goes_on)
    }
}

/// Some of a model's layers: `from..to`, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerPart {
    /// The first.
    pub from: u32,
    /// The one after the last.
    pub to: u32,
    /// All layers of the model, on all ranks of a pipeline together.
    pub of: u32,
}

impl LayerPart {
    /// Whether layers are left after these.
    pub const fn goes_on(self) -> bool {
        self.to < self.of
    }

    /// How much of all that is, between 0 and 1.
    pub fn share(self) -> f64 {
        f64::from(self.to - self.from) / f64::from(self.of)
    }
}

/// What is needed of a row's positions. A hidden state is what the head would see: that of the last layer, after the final
/// norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outputs {
    /// Nothing: a prefill chunk that is not the last.
    None,
    /// The logits of the last.
    Last,
    /// The logits of all: the prompt's own log-probabilities were asked for.
    All,
    /// The last so many tokens are guesses at how the answer goes on: the logits of these and of the one before them. Never
    /// asked of a backend that cannot take tokens back.
    Guessed(u32),
    /// The hidden state of the last.
    HiddenLast,
    /// The sum of all hidden states.
    HiddenSum,
}

impl Outputs {
    /// How many of a row's last positions, which has `tokens`, logits are needed of.
    pub fn logits(self, tokens: usize) -> usize {
        match self {
            Self::None | Self::HiddenLast | Self::HiddenSum => 0,
            Self::Last => 1,
            Self::All => tokens,
            Self::Guessed(_) => self.guessed() + 1,
        }
    }

    /// The same for hidden states.
    pub fn hidden(self, tokens: usize) -> usize {
        match self {
            Self::None | Self::Last | Self::All | Self::Guessed(_) => 0,
            Self::HiddenLast => 1,
            Self::HiddenSum => tokens,
        }
    }

    /// How many of a row's last tokens are guesses.
    pub const fn guessed(self) -> usize {
        match self {
            Self::Guessed(count) => count as usize,
            Self::None | Self::Last | Self::All | Self::HiddenLast | Self::HiddenSum => 0,
        }
    }
}

/// What a step computed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepOutput {
    /// One for each row whose outputs are logits, in the order of the rows. Empty on ranks other than 0.
    pub logits: Vec<Logits>,
    /// One for each row whose outputs are hidden states, in the order of the rows. Empty on ranks other than 0.
    pub hidden: Vec<Vec<f32>>,
    /// How many tokens each recall found, in their order; `None` if it is still looking, so that it is to be asked for
    /// again. Empty on ranks other than 0.
    pub recalled: Vec<Option<u32>>,
}

/// Logits of one or more positions of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    /// Length of one position's logits, at least 1.
    pub vocabulary: usize,
    /// `[positions, vocabulary]`, row-major.
    pub values: Vec<f32>,
}

impl Logits {
    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.values.len() / self.vocabulary
    }

    /// The logits of one position, counted within the row's outputs.
    ///
    /// # Panics
    /// If there is no such position.
    pub fn at(&self, position: usize) -> &[f32] {
        &self.values[self.range(position)]
    }

    /// The same, to be changed.
    ///
    /// # Panics
    /// If there is no such position.
    pub fn at_mut(&mut self, position: usize) -> &mut [f32] {
        let range = self.range(position);
        &mut self.values[range]
    }

    fn range(&self, position: usize) -> Range<usize> {
        position * self.vocabulary..(position + 1) * self.vocabulary
    }
}

/// Computes steps: one model shard on one device.
///
/// The logits of a sequence must be the same whatever else is in the step and however its prompt is cut into chunks,
/// up to rounding.
pub trait Backend {
    /// Runs `plan`. After an error the backend is unusable: its caches may be half written, and other ranks may
    /// be elsewhere.
    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError>;
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The plan contradicts the caches or itself (an unknown slot, a start that is not the cache's length, no tokens, a
    /// token outside the vocabulary). A defect of the scheduler, or ranks out of step.
    #[error("the step plan does not fit the caches: {0}")]
    Plan(String),
    /// Another rank is gone or did not take part.
    #[error("the group of ranks was lost: {0}")]
    Group(String),
    /// The device failed, for lack of memory for example.
    #[error("the device failed: {0}")]
    Device(String),
}
