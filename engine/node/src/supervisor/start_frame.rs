//! A worker's first frame, made from what the cluster decided. Pure.

use std::path::PathBuf;

use base::ShardSpec;
use cluster::StartShard;
use wire::worker::{Limits, PlanLink, PrefixFolder, ShardStart, Start};

use super::WorkerSettings;

/// Requests that wait for a slot before more are refused: minutes of work.
const QUEUE_MAX: u32 = 256;
/// Prompt tokens per step: large enough for full speed on a GPU, small enough that answers under way stutter little.
const PREFILL_CHUNK_TOKENS: u32 = 512;
/// Where every position's logits are copied: 64 of a vocabulary of 150,000 are 38 MB.
const SCORING_CHUNK_TOKENS: u32 = 64;

/// Where a shard's files are here.
pub(super) struct Folders {
    /// Those of the model.
    pub(super) model: PathBuf,
    /// Those of the model that drafts, if one is to do so here.
    pub(super) draft: Option<PathBuf>,
}

/// What to tell the worker of a shard whose files lie there.
pub(super) fn start_frame(
    start: &StartShard,
    folders: Folders,
    settings: &WorkerSettings,
) -> Start {
    Start::Shard(ShardStart {
        folder: folders.model,
        spec: ShardSpec {
            rank: start.rank,
            world: start.world,
            sharding: start.sharding,
            layers: start.layers.clone(),
            tensor: start.tensor,
            quantize: start.quantize,
            kv_bits: start.kv_bits,
        },
        plan_link: start.plan_address.map(|address| PlanLink {
            address,
            secret: start.secret,
        }),
        limits: Limits {
            slots_max: start.sequences_max,
            queue_max: QUEUE_MAX,
            cache_tokens_max: u64::from(start.cache_tokens.max(1)),
            prefill_chunk_tokens: PREFILL_CHUNK_TOKENS,
            scoring_chunk_tokens: SCORING_CHUNK_TOKENS,
            speculates: settings.speculates,
        },
        prefixes: settings.prefixes.as_ref().map(|kept| PrefixFolder {
            root: kept.root.clone(),
            model: start.fingerprint,
            bytes_max: kept.bytes_max,
        }),
        draft: folders.draft,
    })
}
