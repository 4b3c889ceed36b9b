//! Bytes that a shard needs: weights, KV cache, activations, and the worker itself.

use std::ops::Range;

use base::{DraftCost, ModelCard, Shard, ShardPlan, TensorSlice};

use super::Problem;

/// Tokens of KV cache without which a model is not placed, over all sequences, if its context is as long. Enough for a
/// long chat or several short ones; the scheduler admits only what fits.
const CACHE_TOKENS_NEEDED: u32 = 8_192;

/// Tokens of KV cache planned at most where there is memory for more: a long document, or some of them.
const CACHE_TOKENS_MAX: u32 = 131_072;

/// Of the memory that a shard leaves of what its node lends, its cache may take one part in so many: other models want
/// some, too.
const CACHE_SPARE_PART: u64 = 4;

/// A cache may take this much however small the weights are; otherwise no more than they.
const CACHE_BYTES_FREE: u64 = 1 << 30;

/// The same at least, however short the model's context: a request reserves all it may need, so room for one context
/// alone would answer one request at a time.
const CACHE_TOKENS_MIN: u32 = 4_096;

/// Tokens that run in one step at most: a worker's prefill is cut into chunks of so many.
pub const ACTIVATION_TOKENS: u64 = 512;

/// Arrays of the residual stream's width alive at once inside a layer, with the wider ones of attention and MLP
/// counted by their width. Assumed from the llama block: input, norm, q, k, v, attention, two of four widths.
const ACTIVATION_WIDTHS: u64 = 16;

/// Tokens that a draft model reads in a step at most.
const DRAFT_STEP_TOKENS: u64 = 128;

/// What a worker takes before it holds any model: code, MLX's runtime, allocator slack. Assumed, on the safe side
/// of the resident size of a worker with a model of a few megabytes.
pub const WORKER_BYTES: u64 = 256 << 20;

/// Sequences computed side by side. A step of twice as many takes less than twice as long, but with more each would be too
/// slow to read along on the machines this is for.
const SEQUENCES_MAX: u32 = 32;

/// The same of a model with recurrent layers, whose states are tens of megabytes for each where it is large.
const SEQUENCES_MAX_WITH_STATES: u32 = 16;

/// Logits are computed in 32-bit floats whatever the model's own type.
const LOGIT_BYTES: u64 = 4;

/// Tokens of KV cache that any placement of this model makes room for, over all sequences.
pub fn cache_tokens(card: &ModelCard) -> u32 {
    card.context_tokens_max
        .clamp(CACHE_TOKENS_MIN, CACHE_TOKENS_NEEDED)
}

/// Sequences that any placement of this model makes room for the states of; a worker computes no more at once.
pub fn sequences_max(card: &ModelCard) -> u32 {
    if card.layers.iter().any(|layer| layer.state_bytes > 0) {
        SEQUENCES_MAX_WITH_STATES
    } else {
        SEQUENCES_MAX
    }
}

/// The plan with as much more cache as its nodes have memory to spare for, up to one context of the model.
pub(crate) fn with_spare_cache(problem: &Problem, mut plan: ShardPlan) -> ShardPlan {
    let card = &problem.card;
    let most = card.context_tokens_max.min(CACHE_TOKENS_MAX);
    let of = |shard: &Shard, tokens| cache_bytes(card, &shard.layers, shard.tensor, tokens);
    let more = plan.shards.iter().map(|shard| {
        let lent = problem.candidates.iter().find(|it| it.node == shard.node);
        let spare = lent.map_or(0, |it| it.memory_bytes.saturating_sub(shard.bytes));
        let weights = held_weights_bytes(card, shard);
        let bytes = (spare / CACHE_SPARE_PART).min(weights.max(CACHE_BYTES_FREE));
        let bytes = bytes + of(shard, problem.cache_tokens);
        most_tokens(most, |tokens| of(shard, tokens) <= bytes)
    });
    let tokens = more.min().unwrap_or(0).max(problem.cache_tokens);
    for shard in &mut plan.shards {
        shard.bytes += of(shard, tokens) - of(shard, problem.cache_tokens);
    }
    plan
}

/// Tokens of KV cache that a plan makes room for: what its shards take beyond all else that they need.
pub fn planned_cache_tokens(card: &ModelCard, plan: &ShardPlan) -> u32 {
    let tokens = plan.shards.iter().filter_map(|shard| {
        let without = shard_bytes(card, &shard.layers, shard.tensor, 0);
        let cache = shard.bytes.saturating_sub(without);
        let of = |tokens| cache_bytes(card, &shard.layers, shard.tensor, tokens);
        (of(1) > 0).then(|| most_tokens(CACHE_TOKENS_MAX, |tokens| of(tokens) <= cache))
    });
    tokens.min().unwrap_or_else(|| cache_tokens(card))
}

/// The most tokens, up to `most`, that fit: fewer always do.
fn most_tokens(most: u32, fits: impl Fn(u32) -> bool) -> u32 {
    let (mut fitting, mut end) = (0, most);
    // What is between them is halved each time.
    while fitting < end {
        let middle = end - (end - fitting) / 2;
        if fits(middle) {
            fitting = middle;
        } else {
            end = middle - 1;
        }
    }
    fitting
}

/// Bytes of the caches of a slice of `layers` with room for so many tokens over all sequences, and of the draft model's that
/// goes with the last of them.
fn cache_bytes(card: &ModelCard, layers: &Range<u32>, tensor: TensorSlice, tokens: u32) -> u64 {
    let held = &card.layers[layers.start as usize..layers.end as usize];
    let tokens = u64::from(tokens);
    let of_each = held
        .iter()
        .map(|layer| layer.cache_bytes(tensor.of, tokens));
    let draft = if has_head(card, layers, tensor) {
        draft_cache_bytes(card, tokens)
    } else {
        0
    };
    of_each.sum::<u64>() + draft
}

/// Bytes of a draft model's cache with room for so many tokens.
pub(super) fn draft_cache_bytes(card: &ModelCard, tokens: u64) -> u64 {
    card.draft
        .map_or(0, |draft| draft.cache_bytes_per_token * tokens)
}

/// What a model takes that drafts. Of layers that see a window it is held to see all, which is more than it takes.
pub fn draft_cost(card: &ModelCard) -> DraftCost {
    let width = u64::from(card.hidden_size) * u64::from(card.activation_bytes);
    let logits = u64::from(card.vocabulary_size) * LOGIT_BYTES;
    let caches = card.layers.iter().map(|layer| layer.cache_bytes_per_token);
    DraftCost {
        weights_bytes: card.weights_bytes(),
        cache_bytes_per_token: caches.sum(),
        step_bytes: DRAFT_STEP_TOKENS * width * ACTIVATION_WIDTHS
            + u64::from(SEQUENCES_MAX) * logits,
    }
}

/// Bytes of what recurrent layers, each cut into `tensor_of` slices, remember of all sequences.
fn states_bytes(card: &ModelCard, layers: &Range<u32>, tensor_of: u32) -> u64 {
    let held = &card.layers[layers.start as usize..layers.end as usize];
    let of_each = held
        .iter()
        .map(|layer| layer.state_bytes.div_ceil(u64::from(tensor_of)));
    of_each.sum::<u64>() * u64::from(sequences_max(card))
}

/// Whether a shard has the output head: of tensor ranks, which hold all layers, only the one that samples has it.
fn has_head(card: &ModelCard, layers: &Range<u32>, tensor: TensorSlice) -> bool {
    layers.end == card.layer_count() && tensor.index == 0
}

/// Bytes of the weights of a slice of `layers`, and of the ends that come with them.
fn weights_bytes(card: &ModelCard, layers: &Range<u32>, tensor: TensorSlice) -> u64 {
    let held = &card.layers[layers.start as usize..layers.end as usize];
    let sliced: u64 = held
        .iter()
        .map(|layer| {
            let divided = layer.weights_bytes.saturating_sub(layer.replicated_bytes);
            divided.div_ceil(u64::from(tensor.of)) + layer.replicated_bytes
        })
        .sum();
    sliced + card.ends_bytes(layers.start == 0, has_head(card, layers, tensor))
}

/// Bytes that a shard needs besides weights and KV cache. The rank with the output head also holds the logits of a
/// whole step, because a prompt's own log-probabilities may be asked for; and a draft model, but for its cache.
pub(crate) fn overhead_bytes(card: &ModelCard, last: bool) -> u64 {
    let width = u64::from(card.hidden_size) * u64::from(card.activation_bytes);
    let activations = ACTIVATION_TOKENS * width * ACTIVATION_WIDTHS;
    let logits = if last {
        ACTIVATION_TOKENS * u64::from(card.vocabulary_size) * LOGIT_BYTES
    } else {
        0
    };
    let draft = card
        .draft
        .filter(|_| last)
        .map_or(0, |draft| draft.weights_bytes + draft.step_bytes);
    WORKER_BYTES + activations + logits + draft
}

/// All bytes that a shard of such a slice of `layers` needs.
pub fn shard_bytes(
    card: &ModelCard,
    layers: &Range<u32>,
    tensor: TensorSlice,
    cache_tokens: u32,
) -> u64 {
    weights_bytes(card, layers, tensor)
        + cache_bytes(card, layers, tensor, cache_tokens)
        + states_bytes(card, layers, tensor.of)
        + overhead_bytes(card, has_head(card, layers, tensor))
}

/// Bytes of the weights of a shard of this model.
pub(crate) fn held_weights_bytes(card: &ModelCard, shard: &Shard) -> u64 {
    weights_bytes(card, &shard.layers, shard.tensor)
}
