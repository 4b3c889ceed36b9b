//! Frames between a node and its worker, on the worker's stdin and stdout.

use std::net::SocketAddr;
use std::path::PathBuf;

use base::{
    CacheBits, Failure, Fingerprint, ModelCard, QuantizedBits, RequestId, Secret, ShardSpec,
    TokenEvent, TokenRequest,
};
use serde::{Deserialize, Serialize};

use crate::codec::{Frame, Invalid};
use crate::collection::{List, Text};
use crate::mirror::record::PATH_BYTES_MAX;
use crate::mirror::{card, failure, shard, tokens};
use crate::step::ROWS_MAX;

/// Longest frame to or from a worker in bytes: the scored chunk of a prompt with many alternatives fits.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// Most events in one [`FromWorker::Events`].
const EVENTS_MAX: usize = 4 * ROWS_MAX;

/// What a node tells its worker.
#[derive(Debug, Clone, PartialEq)]
pub enum ToWorker {
    /// What to be; the first frame and only the first.
    Start(Start),
    /// Generate. Rank 0 only.
    Submit(TokenRequest),
    /// Stop generating; no event follows for it beyond those already on their way. Rank 0 only.
    Cancel(RequestId),
    /// End now. Closing stdin does the same.
    Stop,
}

/// What a worker tells its node.
#[derive(Debug, Clone, PartialEq)]
pub enum FromWorker {
    /// Weights are being read.
    Progress {
        /// Bytes read.
        bytes_done: u64,
        /// Bytes to read.
        bytes_total: u64,
    },
    /// The shard computes.
    Ready {
        /// From the first frame to now, in milliseconds.
        load_ms: u64,
    },
    /// The answer to [`Start::Inspect`]; the last frame.
    Card(ModelCard),
    /// The next events, in order.
    Events(Vec<(RequestId, TokenEvent)>),
    /// What the worker has done since it started; at most one a second, when something changed.
    Stats(Stats),
    /// The worker ends; the last frame.
    Fatal(Failure),
}

/// What a worker is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each worker, and it goes at once"
)]
pub enum Start {
    /// Read a model's headers, answer with its card and end.
    Inspect {
        /// The model's folder.
        folder: PathBuf,
        /// To how many bits its matrices are to be quantized.
        quantize: Option<QuantizedBits>,
        /// To how many bits its caches are to be quantized.
        kv_bits: Option<CacheBits>,
    },
    /// Hold one shard of a model and compute.
    Shard(ShardStart),
}

/// What a worker needs to hold a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardStart {
    /// The model's folder.
    pub folder: PathBuf,
    /// Which part of it.
    pub spec: ShardSpec,
    /// How step plans reach the other ranks; `None` if and only if there are none.
    pub plan_link: Option<PlanLink>,
    /// How much it may take on.
    pub limits: Limits,
    /// Where it keeps beginnings of sequences beyond its own life; `None` keeps them in memory alone.
    pub prefixes: Option<PrefixFolder>,
    /// The folder of a model that drafts, for rank 0; `None` if none does.
    pub draft: Option<PathBuf>,
}

/// Where beginnings of sequences are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixFolder {
    /// One for all models and shards of a node, and nobody else's to read.
    pub root: PathBuf,
    /// The weights.
    pub model: Fingerprint,
    /// Of everything under `root`.
    pub bytes_max: u64,
}

/// The direct connection that carries step plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanLink {
    /// Where rank 0 listens, as this worker's node reaches it (rank 0: what to listen on).
    pub address: SocketAddr,
    /// With this the ranks prove to each other that they belong together.
    pub secret: Secret,
}

/// Most prompt tokens computed in one step: a plan with all of them stays far below its frame's cap.
pub const PREFILL_CHUNK_TOKENS_MAX: u32 = 1 << 16;

/// Most prompt tokens scored in one step: with the most alternatives for each, the events fit a frame between nodes.
pub const SCORING_CHUNK_TOKENS_MAX: u32 = 1024;

/// How much a worker may take on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sequences computed at once; 1 to [`ROWS_MAX`].
    pub slots_max: u32,
    /// Requests that wait for a slot; more are refused as `Overloaded`.
    pub queue_max: u32,
    /// Tokens in all KV caches together; the planner reserved memory for so many. At least 1.
    pub cache_tokens_max: u64,
    /// Prompt tokens computed in one step; 1 to [`PREFILL_CHUNK_TOKENS_MAX`]. More is faster for the prompt and slower for
    /// answers under way.
    pub prefill_chunk_tokens: u32,
    /// The same where the prompt's log-probabilities are asked for: every position's logits are copied. 1 to
    /// [`SCORING_CHUNK_TOKENS_MAX`].
    pub scoring_chunk_tokens: u32,
    /// Whether to guess what answers go on with, if the model can take tokens back.
    pub speculates: bool,
}

/// What a worker has done since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Sequences being computed now.
    pub running: u32,
    /// Those of them whose prompt is not read to its end.
    pub reading: u32,
    /// Requests waiting now.
    pub waiting: u32,
    /// Tokens of cache reserved now.
    pub cache_tokens_reserved: u64,
    /// Steps run.
    pub steps: u64,
    /// Prompt tokens computed.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
    /// Guesses at tokens that were computed.
    pub guessed_tokens: u64,
    /// Those of them that were right: a part of `generated_tokens`.
    pub accepted_tokens: u64,
    /// Time in `Backend::step`, in microseconds: device, group and the wait for other ranks.
    pub step_us: u64,
    /// Time outside it between two steps, in microseconds: scheduling, sampling, sending plans and events.
    pub host_us: u64,
    /// Time that was spent on what grammars allow next, on threads of its own, in microseconds.
    pub mask_us: u64,
    /// Time that steps waited for it, in microseconds: a part of `host_us`. The rest was hidden behind the device.
    pub mask_wait_us: u64,
}

/// [`ToWorker`], serialized.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToWorkerBody {
    /// [`Start::Inspect`].
    Inspect(Text<PATH_BYTES_MAX>, card::Bits, card::KvBits),
    /// [`Start::Shard`].
    Shard(ShardStartBody),
    /// Generate.
    Submit(tokens::TokenRequest),
    /// Stop generating.
    Cancel(u64),
    /// End.
    Stop,
}

/// [`ShardStart`], serialized.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShardStartBody {
    folder: Text<PATH_BYTES_MAX>,
    spec: shard::ShardSpec,
    plan_link: Option<(SocketAddr, [u8; 32])>,
    limits: LimitsBody,
    prefixes: Option<(Text<PATH_BYTES_MAX>, [u8; 32], u64)>,
    draft: Option<Text<PATH_BYTES_MAX>>,
}

/// [`Limits`], serialized.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct LimitsBody {
    slots_max: u32,
    queue_max: u32,
    cache_tokens_max: u64,
    prefill_chunk_tokens: u32,
    scoring_chunk_tokens: u32,
    speculates: bool,
}

/// [`FromWorker`], serialized.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FromWorkerBody {
    /// Bytes read and to read.
    Progress(u64, u64),
    /// Milliseconds it took.
    Ready(u64),
    /// A model's card.
    Card(card::ModelCard),
    /// Events.
    Events(List<(u64, tokens::TokenEvent), EVENTS_MAX>),
    /// Counters.
    Stats(Stats),
    /// The end.
    Fatal(failure::Failure),
}

impl Frame for ToWorker {
    const BYTES_MAX: usize = FRAME_BYTES_MAX;
    type Body = ToWorkerBody;

    fn to_body(&self) -> ToWorkerBody {
        match self {
            Self::Start(Start::Inspect {
                folder,
                quantize,
                kv_bits,
            }) => ToWorkerBody::Inspect(path(folder), (*quantize).into(), (*kv_bits).into()),
            Self::Start(Start::Shard(start)) => ToWorkerBody::Shard(start.into()),
            Self::Submit(request) => ToWorkerBody::Submit(request.into()),
            Self::Cancel(id) => ToWorkerBody::Cancel(id.0),
            Self::Stop => ToWorkerBody::Stop,
        }
    }

    fn from_body(body: ToWorkerBody) -> Result<Self, Invalid> {
        Ok(match body {
            ToWorkerBody::Inspect(folder, quantize, kv_bits) => Self::Start(Start::Inspect {
                folder: folder.0.into(),
                quantize: quantize.try_into()?,
                kv_bits: kv_bits.try_into()?,
            }),
            ToWorkerBody::Shard(start) => Self::Start(Start::Shard(start.try_into()?)),
            ToWorkerBody::Submit(request) => Self::Submit(request.try_into()?),
            ToWorkerBody::Cancel(id) => Self::Cancel(RequestId(id)),
            ToWorkerBody::Stop => Self::Stop,
        })
    }
}

impl Frame for FromWorker {
    const BYTES_MAX: usize = FRAME_BYTES_MAX;
    type Body = FromWorkerBody;

    fn to_body(&self) -> FromWorkerBody {
        match self {
            &Self::Progress {
                bytes_done,
                bytes_total,
            } => FromWorkerBody::Progress(bytes_done, bytes_total),
            &Self::Ready { load_ms } => FromWorkerBody::Ready(load_ms),
            Self::Card(card) => FromWorkerBody::Card(card.into()),
            Self::Events(events) => FromWorkerBody::Events(List(
                events
                    .iter()
                    .map(|(id, event)| (id.0, event.into()))
                    .collect(),
            )),
            Self::Stats(stats) => FromWorkerBody::Stats(*stats),
            Self::Fatal(failure) => FromWorkerBody::Fatal(failure.into()),
        }
    }

    fn from_body(body: FromWorkerBody) -> Result<Self, Invalid> {
        Ok(match body {
            FromWorkerBody::Progress(bytes_done, bytes_total) => Self::Progress {
                bytes_done,
                bytes_total,
            },
            FromWorkerBody::Ready(load_ms) => Self::Ready { load_ms },
            FromWorkerBody::Card(card) => Self::Card(card.try_into()?),
            FromWorkerBody::Events(events) => {
                let events = events.0.into_iter();
                Self::Events(
                    events
                        .map(|(id, event)| Ok((RequestId(id), event.try_into()?)))
                        .collect::<Result<_, _>>()?,
                )
            }
            FromWorkerBody::Stats(stats) => Self::Stats(stats),
            FromWorkerBody::Fatal(failure) => Self::Fatal(failure.try_into()?),
        })
    }
}

impl From<&ShardStart> for ShardStartBody {
    fn from(start: &ShardStart) -> Self {
        Self {
            folder: path(&start.folder),
            spec: shard::ShardSpec::from(&start.spec),
            plan_link: start.plan_link.map(|link| (link.address, link.secret.0)),
            limits: start.limits.into(),
            prefixes: start.prefixes.as_ref().map(|prefixes| {
                let PrefixFolder {
                    root,
                    model,
                    bytes_max,
                } = prefixes;
                (path(root), model.0, *bytes_max)
            }),
            draft: start.draft.as_deref().map(path),
        }
    }
}

impl TryFrom<ShardStartBody> for ShardStart {
    type Error = Invalid;

    fn try_from(body: ShardStartBody) -> Result<Self, Invalid> {
        let spec = ShardSpec::try_from(body.spec)?;
        if (spec.world > 1) != body.plan_link.is_some() {
            return Err(Invalid("a plan link is for more than one rank"));
        }
        if spec.rank > 0 && body.draft.is_some() {
            return Err(Invalid("a draft model for a rank that does not drive"));
        }
        Ok(Self {
            folder: body.folder.0.into(),
            spec,
            plan_link: body.plan_link.map(|(address, secret)| PlanLink {
                address,
                secret: Secret(secret),
            }),
            limits: body.limits.try_into()?,
            prefixes: body.prefixes.map(|(root, model, bytes_max)| PrefixFolder {
                root: root.0.into(),
                model: Fingerprint(model),
                bytes_max,
            }),
            draft: body.draft.map(|folder| folder.0.into()),
        })
    }
}

impl From<Limits> for LimitsBody {
    fn from(limits: Limits) -> Self {
        let Limits {
            slots_max,
            queue_max,
            cache_tokens_max,
            prefill_chunk_tokens,
            scoring_chunk_tokens,
            speculates,
        } = limits;
        Self {
            slots_max,
            queue_max,
            cache_tokens_max,
            prefill_chunk_tokens,
            scoring_chunk_tokens,
            speculates,
        }
    }
}

impl TryFrom<LimitsBody> for Limits {
    type Error = Invalid;

    fn try_from(body: LimitsBody) -> Result<Self, Invalid> {
        let LimitsBody {
            slots_max,
            queue_max,
            cache_tokens_max,
            prefill_chunk_tokens,
            scoring_chunk_tokens,
            speculates,
        } = body;
        if slots_max == 0 || slots_max > ROWS_MAX as u32 {
            return Err(Invalid("a number of slots outside 1 to 1024"));
        }
        if cache_tokens_max == 0 {
            return Err(Invalid("a cache of no tokens"));
        }
        let prefill = 1..=PREFILL_CHUNK_TOKENS_MAX;
        let scoring = 1..=SCORING_CHUNK_TOKENS_MAX;
        if !prefill.contains(&prefill_chunk_tokens) || !scoring.contains(&scoring_chunk_tokens) {
            return Err(Invalid("a chunk of too few or too many tokens"));
        }
        Ok(Self {
            slots_max,
            queue_max,
            cache_tokens_max,
            prefill_chunk_tokens,
            scoring_chunk_tokens,
            speculates,
        })
    }
}

/// A path as text. One that is not Unicode is refused where a user names it; here its odd parts are replaced, and the
/// worker finds no such folder.
fn path(path: &std::path::Path) -> Text<PATH_BYTES_MAX> {
    Text::whole(&path.to_string_lossy())
}
