//! What layers remember of sequences, and in how many bits. Pure.

use base::CacheBits;

use super::Architecture;
use crate::error::LoadError;
use crate::layers::{Memory, Remembered};
use crate::load::{Quantization, QuantizationMode};

/// What a layer remembers, with activations of so many bytes, of which those that see all are quantized to so many bits. What
/// ranks do not divide is no keys and values of heads, and stays as it is.
pub(super) fn remembered(
    architecture: &impl Architecture,
    layer: u32,
    element_bytes: u64,
    kv_bits: Option<CacheBits>,
) -> Remembered {
    let memory = architecture.memory(layer);
    let elements = if memory.has_positions() {
        architecture.cache_elements(layer) as u64
    } else {
        0
    };
    let kv_bits = kv_bits.filter(|_| architecture.divides_cache() && memory == Memory::Positions);
    let packing = kv_bits.and_then(|bits| packing(bits, architecture.cached_head_dim(layer)));
    let bytes = packing.map_or(elements * element_bytes, |packing| {
        packing.bytes(elements, element_bytes)
    });
    Remembered {
        memory,
        packing,
        bytes,
    }
}

/// How caches with such heads are quantized, if they can be.
fn packing(bits: CacheBits, head_dim: i32) -> Option<Quantization> {
    Some(Quantization {
        mode: QuantizationMode::Affine,
        group_size: CacheBits::group_elements(head_dim.try_into().ok()?)? as i32,
        bits: bits.get().into(),
    })
}

/// Refuses bits for caches that no layer has use for.
pub(super) fn check_kv_bits(
    kv_bits: Option<CacheBits>,
    mut layers: impl Iterator<Item = Remembered>,
) -> Result<(), LoadError> {
    if kv_bits.is_none() || layers.any(|layer| layer.packing.is_some()) {
        return Ok(());
    }
    Err(LoadError::Unsupported(
        "the cache of this model cannot be quantized: its layers keep latents, states or a window of a sequence, or heads whose width is no multiple of 32 (hint: open it without kv_bits)"
            .into(),
    ))
}
