//! What the planner knows of a model: numbers, never a name. Made by the model family's own file in `models`.

use crate::{CacheBits, CacheWindow, QuantizedBits};

/// A model in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCard {
    /// The `model_type` of its `config.json`.
    pub model_type: String,
    /// Cost of each transformer layer, first to last.
    pub layers: Vec<LayerCost>,
    /// Input embedding; held by the rank with the first layer.
    pub embedding_bytes: u64,
    /// Final norm and output head; held by the rank with the last layer. With tied embeddings this counts the
    /// shared matrix too, and a rank that holds both ends holds it once (see [`ModelCard::tied`]).
    pub head_bytes: u64,
    /// Whether the output head is the embedding matrix.
    pub tied: bool,
    /// Longest sequence in tokens.
    pub context_tokens_max: u32,
    /// Entries of the vocabulary.
    pub vocabulary_size: u32,
    /// Width of the residual stream, in elements.
    pub hidden_size: u32,
    /// Bytes of one element of an activation (2 or 4).
    pub activation_bytes: u32,
    /// The numbers of ranks a tensor split is allowed to have, ascending, 1 included.
    pub tensor_degrees: Vec<u32>,
    /// To how many bits matrices are quantized as they are loaded, which all bytes here are after; `None` leaves them as they
    /// lie in the files.
    pub quantize: Option<QuantizedBits>,
    /// To how many bits the caches of layers that see all are quantized, which all bytes here are after; `None` leaves them in
    /// the model's own type.
    pub kv_bits: Option<CacheBits>,
    /// What a draft model takes, which rank 0 holds whole beside its shard; `None` if there is none.
    pub draft: Option<DraftCost>,
}

/// Cost of a draft model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DraftCost {
    /// Bytes of weights held.
    pub weights_bytes: u64,
    /// Bytes of KV cache per token, over all its layers.
    pub cache_bytes_per_token: u64,
    /// Bytes that a step of it takes besides.
    pub step_bytes: u64,
}

/// Cost of one transformer layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerCost {
    /// Bytes of weights held.
    pub weights_bytes: u64,
    /// Bytes of weights read for one token (less than held for mixtures of experts).
    pub active_bytes: u64,
    /// Bytes of `weights_bytes` that a tensor split copies to every rank instead of dividing (norms, routers).
    pub replicated_bytes: u64,
    /// Bytes of KV cache per token.
    pub cache_bytes_per_token: u64,
    /// Bytes of `cache_bytes_per_token` that a tensor split copies to every rank (latents, of which all heads make theirs).
    pub replicated_cache_bytes_per_token: u64,
    /// How far a layer sees that does not see all; its cache holds little more of a sequence.
    pub window: Option<CacheWindow>,
    /// Bytes of what a recurrent layer remembers of a sequence, however long it is; a tensor split divides them.
    pub state_bytes: u64,
}

impl LayerCost {
    /// Bytes of cache, of which each of `tensor_of` ranks has its part, where there is room for so many tokens over all
    /// sequences.
    pub fn cache_bytes(&self, tensor_of: u32, cache_tokens: u64) -> u64 {
        let copied = self.replicated_cache_bytes_per_token;
        let divided = self.cache_bytes_per_token.saturating_sub(copied);
        let of_each = divided.div_ceil(u64::from(tensor_of)) + copied;
        let tokens = self
            .window
            .map_or(cache_tokens, |window| window.planned(cache_tokens));
        of_each * tokens
    }
}

impl ModelCard {
    /// Bytes of all weights, a tied matrix counted once.
    pub fn weights_bytes(&self) -> u64 {
        let layers: u64 = self.layers.iter().map(|layer| layer.weights_bytes).sum();
        layers + self.ends_bytes(true, true)
    }

    /// Bytes of the embedding and head that a rank holding the first and/or last layer holds.
    pub fn ends_bytes(&self, first: bool, last: bool) -> u64 {
        match (first, last) {
            (false, false) => 0,
            (true, false) => self.embedding_bytes,
            (false, true) => self.head_bytes,
            (true, true) if self.tied => self.embedding_bytes.max(self.head_bytes),
            (true, true) => self.embedding_bytes + self.head_bytes,
        }
    }

    /// The widest window of layers that do not see all.
    pub fn window(&self) -> Option<CacheWindow> {
        self.layers.iter().filter_map(|layer| layer.window).max()
    }

    /// Number of transformer layers.
    pub fn layer_count(&self) -> u32 {
        self.layers.len() as u32
    }
}
