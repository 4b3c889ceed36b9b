//! What a model's files say of its shape, for people and programs that look at models. Nothing is decided by it.

/// A model's numbers; `None` where its files do not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelShape {
    /// All its weights, those of quantized matrices counted as they were before.
    pub parameters: Option<u64>,
    /// Longest sequence in tokens.
    pub context_tokens: Option<u64>,
    /// Width of the residual stream.
    pub hidden_size: Option<u64>,
    /// Transformer layers.
    pub layers: Option<u64>,
    /// Heads of attention.
    pub heads: Option<u64>,
    /// Heads that keys and values have.
    pub key_value_heads: Option<u64>,
    /// Width of the layers' MLP.
    pub feed_forward_size: Option<u64>,
    /// Entries of the vocabulary.
    pub vocabulary_size: Option<u64>,
}

/// A tensor of a model's weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// How its elements are stored, as safetensors names it.
    pub element: String,
    /// Its dimensions.
    pub shape: Vec<u64>,
}
