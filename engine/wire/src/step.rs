//! Frames on the plan link, from rank 0's worker to the other ranks': who you are, go, and the plan of each step.

use base::TokenId;
use serde::{Deserialize, Serialize};

use crate::codec::{Frame, Invalid};
use crate::collection::List;
use crate::mirror::tokens::TOKENS_MAX;

/// Longest frame on a proven link in bytes.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// Longest frame before a link is proven in bytes: a stranger's bytes are never kept beyond this.
pub const HANDSHAKE_BYTES_MAX: usize = 128;

/// Most sequences in one step.
pub const ROWS_MAX: usize = 1024;

/// What goes over a plan link. First `Hello`, `Challenge`, `Proof`; then only rank 0 speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanFrame {
    /// The connecting rank names itself.
    Hello {
        /// Its rank.
        rank: u32,
        /// Random bytes that rank 0's proof must cover.
        nonce: [u8; 32],
    },
    /// Rank 0 proves that it knows the secret.
    Challenge {
        /// Random bytes that the other's proof must cover.
        nonce: [u8; 32],
        /// HMAC-SHA256 over both nonces, the rank and the world.
        proof: [u8; 32],
    },
    /// The connecting rank proves the same.
    Proof {
        /// HMAC-SHA256 over the same with the roles exchanged.
        proof: [u8; 32],
    },
    /// All ranks are here: join the group.
    Go,
    /// Run this step.
    Step(StepFrame),
}

/// The plan of one step: `infer::StepPlan`, which this crate cannot see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepFrame {
    /// Slots to drop first.
    pub free: Vec<u32>,
    /// Slots to begin with what is kept of earlier sequences.
    pub recalls: Vec<StepRecall>,
    /// What to compute.
    pub rows: Vec<StepRow>,
}

/// A sequence whose beginning may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRecall {
    /// Its slot.
    pub slot: u32,
    /// Its beginning; at least one token.
    pub tokens: Vec<TokenId>,
}

/// The next tokens of one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// Whose cache they extend.
    pub slot: u32,
    /// Position of the first of them.
    pub start: u32,
    /// At least one.
    pub tokens: Vec<TokenId>,
    /// The layers that they go through in this step, if not all.
    pub layers: Option<StepLayers>,
    /// What of them is needed.
    pub outputs: StepOutputs,
}

/// Some of a model's layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLayers {
    /// The first.
    pub from: u32,
    /// The one after the last.
    pub to: u32,
    /// All there are.
    pub of: u32,
}

/// What of a row's positions is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepOutputs {
    /// Nothing.
    None,
    /// Logits of the last.
    Last,
    /// Logits of all.
    All,
    /// The last so many tokens are guesses: logits of these and of the one before them.
    Guessed(u32),
    /// The hidden state of the last.
    HiddenLast,
    /// The sum of all hidden states.
    HiddenSum,
}

/// [`PlanFrame`], serialized.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum PlanFrameBody {
    /// Who connects.
    Hello {
        /// Its rank.
        rank: u32,
        /// Random.
        nonce: [u8; 32],
    },
    /// Rank 0's proof.
    Challenge {
        /// Random.
        nonce: [u8; 32],
        /// The proof.
        proof: [u8; 32],
    },
    /// The other's proof.
    Proof {
        /// The proof.
        proof: [u8; 32],
    },
    /// All are here.
    Go,
    /// A step.
    Step {
        /// Slots to drop first.
        free: List<u32, ROWS_MAX>,
        /// Slots and the beginnings to look for.
        recalls: List<(u32, List<TokenId, TOKENS_MAX>), ROWS_MAX>,
        /// What to compute.
        rows: List<RowBody, ROWS_MAX>,
    },
}

/// [`StepRow`], serialized.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RowBody {
    slot: u32,
    start: u32,
    tokens: List<TokenId, TOKENS_MAX>,
    layers: Option<StepLayers>,
    outputs: StepOutputs,
}

impl Frame for PlanFrame {
    const BYTES_MAX: usize = FRAME_BYTES_MAX;
    type Body = PlanFrameBody;

    fn to_body(&self) -> PlanFrameBody {
        match self {
            &Self::Hello { rank, nonce } => PlanFrameBody::Hello { rank, nonce },
            &Self::Challenge { nonce, proof } => PlanFrameBody::Challenge { nonce, proof },
            &Self::Proof { proof } => PlanFrameBody::Proof { proof },
            Self::Go => PlanFrameBody::Go,
            Self::Step(step) => PlanFrameBody::Step {
                free: List(step.free.clone()),
                recalls: List(
                    step.recalls
                        .iter()
                        .map(|recall| (recall.slot, List(recall.tokens.clone())))
                        .collect(),
                ),
                rows: List::of(&step.rows),
            },
        }
    }

    fn from_body(body: PlanFrameBody) -> Result<Self, Invalid> {
        Ok(match body {
            PlanFrameBody::Hello { rank, nonce } => Self::Hello { rank, nonce },
            PlanFrameBody::Challenge { nonce, proof } => Self::Challenge { nonce, proof },
            PlanFrameBody::Proof { proof } => Self::Proof { proof },
            PlanFrameBody::Go => Self::Go,
            PlanFrameBody::Step {
                free,
                recalls,
                rows,
            } => Self::Step(StepFrame {
                free: free.0,
                recalls: recalls
                    .0
                    .into_iter()
                    .map(recall)
                    .collect::<Result<_, _>>()?,
                rows: rows.each()?,
            }),
        })
    }
}

fn recall((slot, List(tokens)): (u32, List<TokenId, TOKENS_MAX>)) -> Result<StepRecall, Invalid> {
    if tokens.is_empty() {
        return Err(Invalid("a beginning without tokens"));
    }
    Ok(StepRecall { slot, tokens })
}

impl From<&StepRow> for RowBody {
    fn from(row: &StepRow) -> Self {
        Self {
            slot: row.slot,
            start: row.start,
            tokens: List(row.tokens.clone()),
            layers: row.layers,
            outputs: row.outputs,
        }
    }
}

impl TryFrom<RowBody> for StepRow {
    type Error = Invalid;

    fn try_from(body: RowBody) -> Result<Self, Invalid> {
        if body.tokens.0.is_empty() {
            return Err(Invalid("a row without tokens"));
        }
        if let StepOutputs::Guessed(count) = body.outputs
            && count as usize >= body.tokens.0.len()
        {
            return Err(Invalid("guesses alone"));
        }
        let whole = |part: &StepLayers| part.from < part.to && part.to <= part.of;
        if !body.layers.as_ref().is_none_or(whole) {
            return Err(Invalid("layers that are none"));
        }
        Ok(Self {
            slot: body.slot,
            start: body.start,
            tokens: body.tokens.0,
            layers: body.layers,
            outputs: body.outputs,
        })
    }
}
