//! A causal language model made of blocks, whatever is in them: what families have in common.

mod layout;
mod remembered;

use std::ops::Range;
use std::rc::Rc;

use base::{CacheBits, LayerCost, ModelCard, QuantizedBits, ShardSpec};
use mlx_rs::Array;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::distributed::Group;
use crate::error::LoadError;
use crate::family::{CausalModel, Computed, Dimensions};
use crate::layers::{
    Block, BlockParts, Ends, GroupedShape, LayerInputsShape, Memory, NormKind, Reach, Remembered,
    Rope, RopeConfig, StepCaches, Table,
};
use crate::load::{Config, Exceptions, Folder, Held, OnLoad, Weights};

pub(crate) use layout::{ExpertsUse, Layout};
use remembered::{check_kv_bits, remembered};

/// Name of the final norm.
const NORM: &str = "model.norm.weight";

/// What a family's file says of it.
pub(crate) trait Architecture: DeserializeOwned {
    /// What all configurations have.
    fn core(&self) -> &Core;

    /// Refuses what this build would compute wrongly. The core is checked already.
    fn check(&self, _file: &Config) -> Result<(), LoadError> {
        Ok(())
    }

    /// What fields that a configuration may leave out are then.
    fn defaults() -> Value {
        json!({})
    }

    /// The rotary embeddings that blocks share.
    fn ropes(&self) -> Result<Vec<Rope>, LoadError> {
        self.core().ropes_over(1.0)
    }

    /// Loads a block.
    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError>;

    /// How it divides.
    fn layout(&self) -> Layout;

    /// How far a layer that attends sees.
    fn reach(&self, _layer: u32) -> Reach {
        Reach::All
    }

    /// What a layer remembers of a sequence.
    fn memory(&self, layer: u32) -> Memory {
        Memory::of(self.reach(layer))
    }

    /// Elements of keys and values together, for one token of a layer that remembers them.
    fn cache_elements(&self, _layer: u32) -> i32 {
        2 * self.core().kv_heads() * self.core().head_dim()
    }

    /// Elements of a key, and of a value, of a head in such a layer.
    fn cached_head_dim(&self, _layer: u32) -> i32 {
        self.core().head_dim()
    }

    /// Whether tensor ranks divide those: each head's are those of the rank that has it.
    fn divides_cache(&self) -> bool {
        true
    }

    /// Bytes of what a layer that remembers a state remembers of a sequence, with activations of so many bytes.
    fn state_bytes(&self, _layer: u32, _element_bytes: u64) -> u64 {
        0
    }

    /// What its norms have in common.
    fn norms(&self, _weights: &Weights<'_>) -> NormKind {
        NormKind {
            eps: self.core().rms_norm_eps,
            offset: 0.0,
        }
    }

    /// What multiplies the embeddings, and the logits.
    fn end_scales(&self) -> [Option<f32>; 2] {
        [None, None]
    }

    /// What layers get of their own.
    fn layer_inputs(&self) -> Option<LayerInputsShape> {
        None
    }

    /// Columns that go from layer to layer beside the hidden state; first those inputs.
    fn beside(&self) -> i32 {
        0
    }

    /// Which matrices are not quantized on load like the others.
    fn exceptions(&self) -> Exceptions {
        Exceptions::default()
    }

    /// The layer whose keys and values a layer attends to.
    fn keys_of(&self, layer: u32) -> u32 {
        layer
    }

    /// What logits are kept below.
    fn logit_cap(&self) -> Option<f32> {
        None
    }
}

/// The fields of `config.json` that all decoders have.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Core {
    pub(crate) hidden_size: i32,
    pub(crate) intermediate_size: i32,
    pub(crate) num_hidden_layers: i32,
    pub(crate) num_attention_heads: i32,
    num_key_value_heads: Option<i32>,
    head_dim: Option<i32>,
    pub(crate) rms_norm_eps: f32,
    pub(crate) vocab_size: i32,
    tie_word_embeddings: Option<bool>,
    #[serde(flatten)]
    pub(crate) rope: RopeConfig,
}

impl Core {
    fn check(&self, file: &Config) -> Result<(), LoadError> {
        file.check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.kv_heads()),
            ("head_dim", self.head_dim()),
            ("head_dim of all heads", self.attention_width()),
            ("vocab_size", self.vocab_size),
        ])?;
        if self.num_attention_heads % self.kv_heads() != 0 {
            return Err(file.problem("num_attention_heads is no multiple of num_key_value_heads"));
        }
        Ok(())
    }

    /// Heads of keys and values.
    pub(crate) fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Elements of a head.
    pub(crate) fn head_dim(&self) -> i32 {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Elements of all heads together; 0, which is refused, for what does not fit an `i32`.
    pub(crate) fn attention_width(&self) -> i32 {
        self.num_attention_heads
            .checked_mul(self.head_dim())
            .unwrap_or(0)
    }

    /// The one rope of all layers, over this part of each head: nothing at 0, all at 1.
    pub(crate) fn ropes_over(&self, part: f32) -> Result<Vec<Rope>, LoadError> {
        let dimensions = (self.head_dim() as f32 * part.clamp(0.0, 1.0)) as i32;
        Ok(vec![Rope::new(&self.rope, dimensions)?])
    }

    /// Stated, or seen from the absence of a head of its own.
    fn tied(&self, has_head: bool) -> bool {
        self.tie_word_embeddings.unwrap_or(!has_head)
    }

    /// Its attention, if that is grouped-query attention without anything else.
    pub(crate) fn attention(&self) -> GroupedShape {
        GroupedShape {
            heads: self.num_attention_heads,
            kv_heads: self.kv_heads(),
            head_dim: self.head_dim(),
            rope: Some(0),
            ..GroupedShape::default()
        }
    }

    /// How grouped-query attention and a gated feed-forward part divide.
    pub(crate) fn layout(&self) -> Layout {
        let width = self.attention_width();
        Layout {
            divided: vec![
                self.num_attention_heads,
                self.kv_heads(),
                self.intermediate_size,
            ],
            by_columns: vec![
                ("self_attn.o_proj", width),
                ("mlp.down_proj", self.intermediate_size),
            ],
            whole: vec![
                "input_layernorm.",
                "post_attention_layernorm.",
                "self_attn.q_norm.",
                "self_attn.k_norm.",
            ],
            experts: None,
        }
    }
}

fn parse<A: Architecture>(file: &Config) -> Result<A, LoadError> {
    let architecture: A = file.parse(A::defaults())?;
    architecture.core().check(file)?;
    architecture.check(file)?;
    Ok(architecture)
}

/// How a model of this architecture is quantized on load.
fn on_load(architecture: &impl Architecture, bits: Option<QuantizedBits>) -> Option<OnLoad> {
    bits.map(|bits| OnLoad::new(bits, architecture.exceptions()))
}

/// The model in numbers, dense matrices quantized to so many bits. Every layer's own tensors must be there.
pub(crate) fn card<A: Architecture>(
    folder: &Folder,
    bits: Option<QuantizedBits>,
    kv_bits: Option<CacheBits>,
) -> Result<ModelCard, LoadError> {
    let file = &folder.config;
    let architecture: A = parse(file)?;
    let held = Held::new(folder, on_load(&architecture, bits));
    let (core, layout) = (architecture.core(), architecture.layout());
    let (_, norm) = folder.tensor(NORM)?;
    let element_bytes = norm.element(NORM)?.held().bytes();
    let cache = |layer| remembered(&architecture, layer, element_bytes, kv_bits);
    check_kv_bits(kv_bits, (0..core.num_hidden_layers as u32).map(cache))?;
    let layers = (0..core.num_hidden_layers).map(|layer| {
        let cache_bytes = cache(layer as u32).bytes;
        let copied = if architecture.divides_cache() {
            0
        } else {
            cache_bytes
        };
        let cost = LayerCost {
            cache_bytes_per_token: cache_bytes,
            replicated_cache_bytes_per_token: copied,
            window: Memory::widest([architecture.memory(layer as u32)].into_iter()),
            state_bytes: architecture.state_bytes(layer as u32, element_bytes),
            ..weights_cost(&held, &layout, layer)
        };
        if cost.weights_bytes > 0 {
            return Ok(cost);
        }
        Err(file.problem(&format!(
            "says {} layers, but layer {layer} is in no file",
            core.num_hidden_layers
        )))
    });
    let layers = layers.collect::<Result<_, _>>()?;
    let tied = core.tied(folder.tensors.contains_key("lm_head.weight"));
    let embedding_bytes = held.bytes_under("model.embed_tokens.");
    let matrix_of_head = if tied {
        embedding_bytes
    } else {
        held.bytes_under("lm_head.")
    };
    let inputs = ["model.embed_tokens_per_layer.", "model.per_layer_"];
    let inputs: u64 = inputs.iter().map(|name| held.bytes_under(name)).sum();
    Ok(ModelCard {
        model_type: file.model_type()?.to_string(),
        layers,
        embedding_bytes: embedding_bytes + inputs,
        head_bytes: matrix_of_head + norm.bytes,
        tied,
        context_tokens_max: core.rope.context_tokens_max(),
        vocabulary_size: core.vocab_size as u32,
        hidden_size: core.hidden_size as u32,
        activation_bytes: element_bytes as u32,
        tensor_degrees: layout.tensor_degrees(&held, core.num_hidden_layers)?,
        quantize: bits,
        kv_bits,
        draft: None,
    })
}

/// What a layer's weights cost, and nothing else.
fn weights_cost(held: &Held<'_>, layout: &Layout, layer: i32) -> LayerCost {
    let path = format!("model.layers.{layer}.");
    let mut cost = LayerCost {
        weights_bytes: 0,
        active_bytes: 0,
        replicated_bytes: 0,
        cache_bytes_per_token: 0,
        replicated_cache_bytes_per_token: 0,
        window: None,
        state_bytes: 0,
    };
    for (name, bytes) in held.under(&path) {
        cost.weights_bytes += bytes;
        let begins = |begin: &&str| name.starts_with(*begin);
        if layout.whole.iter().any(&begins) {
            cost.replicated_bytes += bytes;
        }
        let experts = layout
            .experts
            .filter(|experts| experts.names.iter().any(begins));
        cost.active_bytes += experts.map_or(bytes, |experts| {
            bytes * experts.each as u64 / experts.count.max(1) as u64
        });
    }
    cost
}

/// Loads this rank's layers or slices. What else lies in the files (`rotary_emb.inv_freq` of old ones, a head beside tied
/// embeddings) is never asked for.
pub(crate) fn load<A: Architecture>(
    weights: &mut Weights<'_>,
    spec: &ShardSpec,
    group: Rc<Group>,
) -> Result<Box<dyn CausalModel>, LoadError> {
    let file = weights.config();
    let architecture: A = parse(file)?;
    let core = architecture.core();
    weights.quantize(on_load(&architecture, spec.quantize));
    let degrees = architecture
        .layout()
        .tensor_degrees(weights.held(), core.num_hidden_layers)?;
    if spec.layers.end > core.num_hidden_layers as u32 || !degrees.contains(&spec.tensor.of) {
        return Err(LoadError::Shard(format!(
            "this model has {} layers and tensor splits by {degrees:?}",
            core.num_hidden_layers
        )));
    }
    let tensor_group = if spec.tensor.of > 1 {
        group
    } else {
        Rc::new(Group::single())
    };
    let norms = architecture.norms(weights);
    let layers = Layers::load(&architecture, weights, spec, norms, &tensor_group)?;
    let table = Table {
        vocabulary: core.vocab_size,
        hidden: core.hidden_size,
        norms,
        tied: core.tied(weights.has("lm_head.weight")),
        scales: architecture.end_scales(),
        cap: architecture.logit_cap(),
        inputs: architecture.layer_inputs(),
        beside: architecture.beside(),
    };
    let ends = Ends::load(weights, spec, &table)?;
    let dimensions = Dimensions {
        hidden: core.hidden_size + table.beside,
        vocabulary: core.vocab_size,
        dtype: weights.activation_dtype()?,
    };
    let mut all = 0..core.num_hidden_layers as u32;
    Ok(Box::new(Decoder {
        ends,
        layers,
        has_states: all.any(|layer| architecture.memory(layer) == Memory::State),
        hidden: core.hidden_size,
        has_last: spec.layers.end == core.num_hidden_layers as u32,
        tensor_group,
        dimensions,
    }))
}

/// A rank's layers.
struct Layers {
    blocks: Vec<Block>,
    /// Which of the rank's caches each of them has.
    caches: Vec<usize>,
    /// What is in each of these.
    remembered: Vec<Remembered>,
}

impl Layers {
    fn load<A: Architecture>(
        architecture: &A,
        weights: &mut Weights<'_>,
        spec: &ShardSpec,
        norms: NormKind,
        group: &Rc<Group>,
    ) -> Result<Self, LoadError> {
        let ropes: Vec<Rc<Rope>> = architecture.ropes()?.into_iter().map(Rc::new).collect();
        let mut layers = Self {
            blocks: Vec::new(),
            caches: Vec::new(),
            remembered: Vec::new(),
        };
        let element_bytes = weights.element(NORM)?.held().bytes();
        let mut attended: Vec<u32> = Vec::new();
        for layer in spec.layers.clone() {
            let keys = architecture.keys_of(layer);
            let known = attended.iter().position(|one| *one == keys);
            layers.caches.push(known.unwrap_or(attended.len()));
            if known.is_none() {
                attended.push(keys);
                let own = remembered(architecture, keys, element_bytes, spec.kv_bits);
                layers.remembered.push(own);
            }
            layers.blocks.push(architecture.block(&mut BlockParts {
                weights,
                layer,
                hidden: architecture.core().hidden_size,
                norms,
                slice: spec.tensor,
                group,
                ropes: &ropes,
                begins_cache: known.is_none(),
            })?);
        }
        Ok(layers)
    }
}

/// This rank's part.
struct Decoder {
    ends: Ends,
    layers: Layers,
    has_states: bool,
    hidden: i32,
    /// Whether the model's last layer is among them.
    has_last: bool,
    /// The ranks that sum their slices: all in a tensor split, this one alone in a pipeline.
    tensor_group: Rc<Group>,
    dimensions: Dimensions,
}

impl CausalModel for Decoder {
    fn ends(&self) -> &Ends {
        &self.ends
    }

    fn layers(&self, hidden: Array, caches: &mut StepCaches<'_>, which: Range<usize>) -> Computed {
        let mut hidden = caches.laid_aside(hidden, self.hidden)?;
        let Layers {
            blocks,
            caches: of_layers,
            ..
        } = &self.layers;
        let is_end = self.has_last && which.end == blocks.len();
        for layer in which {
            let mut cache = caches.layer(of_layers[layer]);
            hidden = blocks[layer].forward(&hidden, &self.tensor_group, &mut cache)?;
        }
        if is_end {
            return Ok(hidden);
        }
        caches.taken_up(hidden)
    }

    fn layer_count(&self) -> usize {
        self.layers.blocks.len()
    }

    fn remembered(&self) -> &[Remembered] {
        &self.layers.remembered
    }

    fn has_states(&self) -> bool {
        self.has_states
    }

    fn dimensions(&self) -> Dimensions {
        self.dimensions
    }
}
