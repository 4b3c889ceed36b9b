//! `llama`: Llama 2 and 3, Mistral-style models, SmolLM, TinyLlama, Sprout.
//!
//! Architecture: Touvron et al. 2023 (arXiv 2302.13971); numerics follow mlx-lm's `llama.py`.

use std::ops::Range;
use std::rc::Rc;

use base::{ModelCard, ShardSpec};
use mlx_rs::{Array, nn};
use serde::Deserialize;

use crate::distributed::Group;
use crate::error::LoadError;
use crate::family::{
    CardFacts, CausalModel, Computed, Dimensions, usual_card, usual_tensor_degrees,
};
use crate::layers::{
    AttentionShape, Ends, Joined, Linear, PartWeights, Parts, RmsNorm, Rope, RopeConfig,
    StepCaches, StepLayer, Table, attend,
};
use crate::load::{Config as ConfigFile, Folder, Weights};

/// The fields of `config.json` that change the computation.
#[derive(Debug, Clone, Deserialize)]
struct Config {
    hidden_size: i32,
    intermediate_size: i32,
    num_hidden_layers: i32,
    num_attention_heads: i32,
    num_key_value_heads: Option<i32>,
    head_dim: Option<i32>,
    rms_norm_eps: f32,
    vocab_size: i32,
    #[serde(default = "default_context")]
    max_position_embeddings: u32,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    tie_word_embeddings: Option<bool>,
    #[serde(flatten)]
    rope: RopeConfig,
}

fn default_context() -> u32 {
    2048
}

impl Config {
    fn parse(file: &ConfigFile) -> Result<Self, LoadError> {
        let config: Self = file.parse()?;
        file.check_sizes(&[
            ("hidden_size", config.hidden_size),
            ("intermediate_size", config.intermediate_size),
            ("num_hidden_layers", config.num_hidden_layers),
            ("num_attention_heads", config.num_attention_heads),
            ("num_key_value_heads", config.kv_heads()),
            ("head_dim", config.head_dim()),
            ("head_dim of all heads", config.attention_width()),
            ("vocab_size", config.vocab_size),
        ])?;
        if config.num_attention_heads % config.kv_heads() != 0 {
            return Err(file.problem("num_attention_heads is no multiple of num_key_value_heads"));
        }
        Ok(config)
    }

    fn kv_heads(&self) -> i32 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head_dim(&self) -> i32 {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Elements of all heads together; 0, which is refused, for what does not fit an `i32`.
    fn attention_width(&self) -> i32 {
        self.num_attention_heads
            .checked_mul(self.head_dim())
            .unwrap_or(0)
    }

    /// Stated, or seen from the absence of a head of its own.
    fn tied(&self, has_head: bool) -> bool {
        self.tie_word_embeddings.unwrap_or(!has_head)
    }
}

struct Attention {
    qkv: Joined<3>,
    o: Linear,
    shape: AttentionShape,
    rope: Rc<Rope>,
}

impl Attention {
    fn load(
        weights: &mut Weights<'_>,
        path: &str,
        config: &Config,
        parts: &Parts,
    ) -> Result<Self, LoadError> {
        let (hidden, width) = (config.hidden_size, config.attention_width());
        let head_dim = config.head_dim();
        let kv_width = config.kv_heads() * head_dim;
        let (rows, columns) = (parts.rows(), parts.columns());
        let mut part = PartWeights {
            weights,
            path,
            bias: config.attention_bias,
        };
        let of = parts.slice.of as i32;
        let names = [
            ("q_proj", width),
            ("k_proj", kv_width),
            ("v_proj", kv_width),
        ];
        Ok(Self {
            qkv: Joined::load(&mut part, names, hidden, rows)?,
            o: part.linear("o_proj", hidden, width, columns)?,
            shape: AttentionShape {
                heads: config.num_attention_heads / of,
                kv_heads: config.kv_heads() / of,
                head_dim,
            },
            rope: Rc::clone(&parts.rope),
        })
    }

    fn forward(&self, x: &Array, cache: &mut StepLayer<'_>) -> Computed {
        let AttentionShape {
            heads,
            kv_heads,
            head_dim,
        } = self.shape;
        let [q, k, v] = self.qkv.forward(x)?;
        let q = q.reshape(&[-1, heads, head_dim])?;
        let k = k.reshape(&[-1, kv_heads, head_dim])?;
        let v = v.reshape(&[-1, kv_heads, head_dim])?;
        self.o
            .forward(&attend([&q, &k, &v], self.shape, &self.rope, cache)?)
    }
}

/// SwiGLU (Shazeer 2020).
struct Mlp {
    gate_up: Joined<2>,
    down: Linear,
}

impl Mlp {
    fn load(
        weights: &mut Weights<'_>,
        path: &str,
        config: &Config,
        parts: &Parts,
    ) -> Result<Self, LoadError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let names = [("gate_proj", inner), ("up_proj", inner)];
        let mut part = PartWeights {
            weights,
            path,
            bias: config.mlp_bias,
        };
        Ok(Self {
            gate_up: Joined::load(&mut part, names, hidden, parts.rows())?,
            down: part.linear("down_proj", hidden, inner, parts.columns())?,
        })
    }

    fn forward(&self, x: &Array) -> Computed {
        let [gate, up] = self.gate_up.forward(x)?;
        self.down.forward(&nn::silu(gate)?.multiply(up)?)
    }
}

struct Block {
    attention_norm: RmsNorm,
    attention: Attention,
    mlp_norm: RmsNorm,
    mlp: Mlp,
}

impl Block {
    fn load(
        weights: &mut Weights<'_>,
        layer: u32,
        config: &Config,
        parts: &Parts,
    ) -> Result<Self, LoadError> {
        let path = format!("model.layers.{layer}");
        let (width, eps) = (config.hidden_size, config.rms_norm_eps);
        Ok(Self {
            attention_norm: RmsNorm::load(weights, &format!("{path}.input_layernorm"), width, eps)?,
            attention: Attention::load(weights, &format!("{path}.self_attn"), config, parts)?,
            mlp_norm: RmsNorm::load(
                weights,
                &format!("{path}.post_attention_layernorm"),
                width,
                eps,
            )?,
            mlp: Mlp::load(weights, &format!("{path}.mlp"), config, parts)?,
        })
    }

    fn forward(&self, x: &Array, group: &Group, cache: &mut StepLayer<'_>) -> Computed {
        let attended = self
            .attention
            .forward(&self.attention_norm.forward(x)?, cache)?;
        let x = x.add(group.all_sum(&attended)?)?;
        let projected = self.mlp.forward(&self.mlp_norm.forward(&x)?)?;
        x.add(group.all_sum(&projected)?)
    }
}

struct Model {
    ends: Ends,
    blocks: Vec<Block>,
    /// The ranks that sum their slices: all in a tensor split, this one alone in a pipeline.
    tensor_group: Rc<Group>,
    dimensions: Dimensions,
}

impl CausalModel for Model {
    fn ends(&self) -> &Ends {
        &self.ends
    }

    fn layers(
        &self,
        mut hidden: Array,
        caches: &mut StepCaches<'_>,
        which: Range<usize>,
    ) -> Computed {
        for layer in which {
            let block = &self.blocks[layer];
            hidden = block.forward(&hidden, &self.tensor_group, &mut caches.layer(layer))?;
        }
        Ok(hidden)
    }

    fn layer_count(&self) -> usize {
        self.blocks.len()
    }

    fn dimensions(&self) -> Dimensions {
        self.dimensions
    }
}

/// Loads this rank's layers or slices. Names in checkpoints are the reference's; whatever else lies in the files
/// (`rotary_emb.inv_freq` of old ones) is never asked for.
pub(crate) fn load(
    weights: &mut Weights<'_>,
    spec: &ShardSpec,
    group: Rc<Group>,
) -> Result<Box<dyn CausalModel>, LoadError> {
    let config = Config::parse(weights.config())?;
    let degrees = tensor_degrees(&config, weights.config())?;
    if spec.layers.end > config.num_hidden_layers as u32 || !degrees.contains(&spec.tensor.of) {
        return Err(LoadError::Shard(format!(
            "this model has {} layers and tensor splits by {degrees:?}",
            config.num_hidden_layers
        )));
    }
    let parts = Parts {
        slice: spec.tensor,
        rope: Rc::new(Rope::new(&config.rope, config.head_dim())?),
    };
    let blocks = spec
        .layers
        .clone()
        .map(|layer| Block::load(weights, layer, &config, &parts))
        .collect::<Result<_, _>>()?;
    let table = Table {
        vocabulary: config.vocab_size,
        hidden: config.hidden_size,
        eps: config.rms_norm_eps,
        tied: config.tied(weights.has("lm_head.weight")),
    };
    let ends = Ends::load(weights, spec, &table)?;
    let dimensions = Dimensions {
        hidden: config.hidden_size,
        vocabulary: config.vocab_size,
        dtype: weights.activation_dtype()?,
    };
    let tensor_group = if spec.tensor.of > 1 {
        group
    } else {
        Rc::new(Group::single())
    };
    Ok(Box::new(Model {
        ends,
        blocks,
        tensor_group,
        dimensions,
    }))
}

fn tensor_degrees(config: &Config, file: &ConfigFile) -> Result<Vec<u32>, LoadError> {
    let sizes = [
        config.num_attention_heads,
        config.kv_heads(),
        config.intermediate_size,
    ];
    let cut = [
        ("model.layers.0.self_attn.o_proj", config.attention_width()),
        ("model.layers.0.mlp.down_proj", config.intermediate_size),
    ];
    usual_tensor_degrees(file, &sizes, &cut)
}

/// The model in numbers.
pub(crate) fn card(folder: &Folder) -> Result<ModelCard, LoadError> {
    let config = Config::parse(&folder.config)?;
    usual_card(
        folder,
        &CardFacts {
            layers: config.num_hidden_layers,
            hidden: config.hidden_size,
            vocabulary: config.vocab_size,
            context_tokens_max: config.max_position_embeddings,
            tied: config.tied(folder.tensors.contains_key("lm_head.weight")),
            cache_elements: 2 * config.kv_heads() * config.head_dim(),
            replicated_elements: 2 * config.hidden_size,
            tensor_degrees: tensor_degrees(&config, &folder.config)?,
        },
    )
}
