//! The tensor split: every rank holds an equal slice of every layer and the embedding, the one that samples also the head.

use base::{ModelCard, TensorSlice};

use super::memory;
use super::problem::Problem;
use super::speed::read_s;

/// Bytes that the rank with this slice needs.
pub(super) fn slice_bytes(problem: &Problem, slice: TensorSlice) -> u64 {
    let card = &problem.card;
    memory::shard_bytes(card, &(0..card.layer_count()), slice, problem.cache_tokens)
}

/// Seconds in which the slowest of the nodes reads its slices for one token.
pub(super) fn slowest_s(problem: &Problem, nodes: &[usize]) -> f64 {
    let bytes = active_bytes(&problem.card, nodes.len() as u64);
    nodes
        .iter()
        .map(|node| read_s(bytes, &problem.candidates[*node]))
        .fold(0.0, f64::max)
}

fn active_bytes(card: &ModelCard, of: u64) -> u64 {
    let layers: u64 = card
        .layers
        .iter()
        .map(|layer| {
            let copied = layer.replicated_bytes.min(layer.active_bytes);
            (layer.active_bytes - copied) / of + copied
        })
        .sum();
    layers + card.head_bytes
}
