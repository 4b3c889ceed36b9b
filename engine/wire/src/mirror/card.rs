//! [`base::ModelCard`] on the wire.

use base::{CacheBits, QuantizedBits};
use serde::{Deserialize, Serialize};

use crate::codec::Invalid;
use crate::collection::{List, Text};

/// Most layers of a model, and most ways to split one.
pub const LAYERS_MAX: usize = 4096;
/// Longest name of an architecture in bytes.
const MODEL_TYPE_BYTES_MAX: usize = 256;
/// Most bytes of a part of a model, 1 PiB: sums over all layers stay within a u64.
const PART_BYTES_MAX: u64 = 1 << 50;

/// To how many bits a model is quantized, if it is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Bits(Option<u8>);

impl From<Option<QuantizedBits>> for Bits {
    fn from(bits: Option<QuantizedBits>) -> Self {
        Self(bits.map(QuantizedBits::get))
    }
}

impl TryFrom<Bits> for Option<QuantizedBits> {
    type Error = Invalid;

    fn try_from(wire: Bits) -> Result<Self, Invalid> {
        let parse = |bits| QuantizedBits::new(bits).ok_or(Invalid("bits that MLX does not pack"));
        wire.0.map(parse).transpose()
    }
}

/// Bits of caches, or none.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct KvBits(Option<u8>);

impl From<Option<CacheBits>> for KvBits {
    fn from(bits: Option<CacheBits>) -> Self {
        Self(bits.map(CacheBits::get))
    }
}

impl TryFrom<KvBits> for Option<CacheBits> {
    type Error = Invalid;

    fn try_from(wire: KvBits) -> Result<Self, Invalid> {
        let parse = |bits| CacheBits::new(bits).ok_or(Invalid("bits that no cache has"));
        wire.0.map(parse).transpose()
    }
}

/// A model in numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelCard {
    model_type: Text<MODEL_TYPE_BYTES_MAX>,
    layers: List<LayerCost, LAYERS_MAX>,
    embedding_bytes: u64,
    head_bytes: u64,
    tied: bool,
    context_tokens_max: u32,
    vocabulary_size: u32,
    hidden_size: u32,
    activation_bytes: u32,
    tensor_degrees: List<u32, LAYERS_MAX>,
    quantize: Bits,
    kv_bits: KvBits,
    draft: Option<[u64; 3]>,
}

/// Why a layer's window was refused.
const NO_WINDOW: Invalid = Invalid("a window of nothing");

/// Cost of one layer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct LayerCost {
    weights_bytes: u64,
    active_bytes: u64,
    replicated_bytes: u64,
    cache_bytes_per_token: u64,
    replicated_cache_bytes_per_token: u64,
    window: Option<u32>,
    state_bytes: u64,
}

impl From<&base::ModelCard> for ModelCard {
    fn from(card: &base::ModelCard) -> Self {
        Self {
            model_type: Text::whole(&card.model_type),
            layers: List::of(&card.layers),
            embedding_bytes: card.embedding_bytes,
            head_bytes: card.head_bytes,
            tied: card.tied,
            context_tokens_max: card.context_tokens_max,
            vocabulary_size: card.vocabulary_size,
            hidden_size: card.hidden_size,
            activation_bytes: card.activation_bytes,
            tensor_degrees: List(card.tensor_degrees.clone()),
            quantize: card.quantize.into(),
            kv_bits: card.kv_bits.into(),
            draft: card.draft.map(|draft| {
                [
                    draft.weights_bytes,
                    draft.cache_bytes_per_token,
                    draft.step_bytes,
                ]
            }),
        }
    }
}

impl TryFrom<ModelCard> for base::ModelCard {
    type Error = Invalid;

    fn try_from(wire: ModelCard) -> Result<Self, Invalid> {
        if wire.layers.0.is_empty() {
            return Err(Invalid("a model without layers"));
        }
        if wire.embedding_bytes > PART_BYTES_MAX || wire.head_bytes > PART_BYTES_MAX {
            return Err(Invalid("a model larger than any could be"));
        }
        let ascending = wire.tensor_degrees.0.is_sorted_by(|a, b| a < b);
        if !ascending || wire.tensor_degrees.0.first() != Some(&1) {
            return Err(Invalid("tensor degrees that do not ascend from 1"));
        }
        Ok(Self {
            model_type: wire.model_type.0,
            layers: wire.layers.each()?,
            embedding_bytes: wire.embedding_bytes,
            head_bytes: wire.head_bytes,
            tied: wire.tied,
            context_tokens_max: wire.context_tokens_max,
            vocabulary_size: wire.vocabulary_size,
            hidden_size: wire.hidden_size,
            activation_bytes: wire.activation_bytes,
            tensor_degrees: wire.tensor_degrees.0,
            quantize: wire.quantize.try_into()?,
            kv_bits: wire.kv_bits.try_into()?,
            draft: wire.draft.map(draft_cost).transpose()?,
        })
    }
}

fn draft_cost(parts: [u64; 3]) -> Result<base::DraftCost, Invalid> {
    if parts.into_iter().any(|bytes| bytes > PART_BYTES_MAX) {
        return Err(Invalid("a draft model larger than any could be"));
    }
    let [weights_bytes, cache_bytes_per_token, step_bytes] = parts;
    Ok(base::DraftCost {
        weights_bytes,
        cache_bytes_per_token,
        step_bytes,
    })
}

impl From<&base::LayerCost> for LayerCost {
    fn from(cost: &base::LayerCost) -> Self {
        let base::LayerCost {
            weights_bytes,
            active_bytes,
            replicated_bytes,
            cache_bytes_per_token,
            replicated_cache_bytes_per_token,
            window,
            state_bytes,
        } = *cost;
        Self {
            weights_bytes,
            active_bytes,
            replicated_bytes,
            cache_bytes_per_token,
            replicated_cache_bytes_per_token,
            window: window.map(base::CacheWindow::get),
            state_bytes,
        }
    }
}

impl TryFrom<LayerCost> for base::LayerCost {
    type Error = Invalid;

    fn try_from(wire: LayerCost) -> Result<Self, Invalid> {
        let LayerCost {
            weights_bytes,
            active_bytes,
            replicated_bytes,
            cache_bytes_per_token,
            replicated_cache_bytes_per_token,
            window,
            state_bytes,
        } = wire;
        let all = [
            weights_bytes,
            active_bytes,
            cache_bytes_per_token,
            state_bytes,
        ];
        if all.into_iter().any(|bytes| bytes > PART_BYTES_MAX) {
            return Err(Invalid("a layer larger than any could be"));
        }
        if replicated_bytes > weights_bytes {
            return Err(Invalid("a layer that copies more than it has"));
        }
        if replicated_cache_bytes_per_token > cache_bytes_per_token {
            return Err(Invalid("a cache that copies more than it has"));
        }
        let window = window.map(|tokens| base::CacheWindow::new(tokens).ok_or(NO_WINDOW));
        Ok(Self {
            weights_bytes,
            active_bytes,
            replicated_bytes,
            cache_bytes_per_token,
            replicated_cache_bytes_per_token,
            window: window.transpose()?,
            state_bytes,
        })
    }
}
