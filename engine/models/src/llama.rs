//! `llama`: Llama 2 and 3, Mistral-style models, SmolLM, TinyLlama, Sprout.
//!
//! Architecture: Touvron et al. 2023 (arXiv 2302.13971); numerics follow mlx-lm's `llama.py`.

use std::rc::Rc;

use base::{ModelCard, ShardSpec, TensorSlice};
use mlx_rs::{Array, nn};
use serde::Deserialize;

use crate::distributed::Group;
use crate::error::LoadError;
use crate::family::{CardFacts, CausalModel, Computed, Dimensions, common_degrees, usual_card};
use crate::layers::{
    AttentionShape, Embedding, LayerCache, Linear, Projection, RmsNorm, Rope, RopeConfig, RowSpan,
    SlotCache, attend,
};
use crate::load::{Config as ConfigFile, Cut, Folder, Weights};

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
        let sizes = [
            ("hidden_size", config.hidden_size),
            ("intermediate_size", config.intermediate_size),
            ("num_hidden_layers", config.num_hidden_layers),
            ("num_attention_heads", config.num_attention_heads),
            ("num_key_value_heads", config.kv_heads()),
            ("head_dim", config.head_dim()),
            ("vocab_size", config.vocab_size),
        ];
        if let Some((name, value)) = sizes
            .iter()
            .find(|(_, value)| !(1..=1 << 24).contains(value))
        {
            return Err(file.problem(&format!("{name} is {value}")));
        }
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

    /// Stated, or seen from the absence of a head of its own.
    fn tied(&self, has_head: bool) -> bool {
        self.tie_word_embeddings.unwrap_or(!has_head)
    }
}

struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
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
        let (heads, kv_heads, head_dim) = (
            config.num_attention_heads,
            config.kv_heads(),
            config.head_dim(),
        );
        let bias = config.attention_bias;
        let mut linear = |name: &str, outputs: i32, inputs: i32, cut: Cut| {
            let path = format!("{path}.{name}");
            Linear::load(
                weights,
                &Projection {
                    path: &path,
                    outputs,
                    inputs,
                    bias,
                    cut,
                },
            )
        };
        let of = parts.slice.of as i32;
        Ok(Self {
            q: linear("q_proj", heads * head_dim, config.hidden_size, parts.rows())?,
            k: linear(
                "k_proj",
                kv_heads * head_dim,
                config.hidden_size,
                parts.rows(),
            )?,
            v: linear(
                "v_proj",
                kv_heads * head_dim,
                config.hidden_size,
                parts.rows(),
            )?,
            o: linear(
                "o_proj",
                config.hidden_size,
                heads * head_dim,
                parts.columns(),
            )?,
            shape: AttentionShape {
                heads: heads / of,
                kv_heads: kv_heads / of,
                head_dim,
            },
            rope: Rc::clone(&parts.rope),
        })
    }

    fn forward(&self, x: &Array, rows: &[RowSpan], caches: &mut [&mut LayerCache]) -> Computed {
        let AttentionShape {
            heads,
            kv_heads,
            head_dim,
        } = self.shape;
        let q = self.q.forward(x)?.reshape(&[-1, heads, head_dim])?;
        let k = self.k.forward(x)?.reshape(&[-1, kv_heads, head_dim])?;
        let v = self.v.forward(x)?.reshape(&[-1, kv_heads, head_dim])?;
        self.o
            .forward(&attend([&q, &k, &v], self.shape, &self.rope, rows, caches)?)
    }
}

/// SwiGLU (Shazeer 2020).
struct Mlp {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Mlp {
    fn load(
        weights: &mut Weights<'_>,
        path: &str,
        config: &Config,
        parts: &Parts,
    ) -> Result<Self, LoadError> {
        let (hidden, inner, bias) = (
            config.hidden_size,
            config.intermediate_size,
            config.mlp_bias,
        );
        let mut linear = |name: &str, outputs: i32, inputs: i32, cut: Cut| {
            let path = format!("{path}.{name}");
            Linear::load(
                weights,
                &Projection {
                    path: &path,
                    outputs,
                    inputs,
                    bias,
                    cut,
                },
            )
        };
        Ok(Self {
            gate: linear("gate_proj", inner, hidden, parts.rows())?,
            up: linear("up_proj", inner, hidden, parts.rows())?,
            down: linear("down_proj", hidden, inner, parts.columns())?,
        })
    }

    fn forward(&self, x: &Array) -> Computed {
        let gated = nn::silu(self.gate.forward(x)?)?.multiply(self.up.forward(x)?)?;
        self.down.forward(&gated)
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

    fn forward(
        &self,
        x: &Array,
        group: &Group,
        rows: &[RowSpan],
        caches: &mut [&mut LayerCache],
    ) -> Computed {
        let attended = self
            .attention
            .forward(&self.attention_norm.forward(x)?, rows, caches)?;
        let x = x.add(group.all_sum(&attended)?)?;
        let projected = self.mlp.forward(&self.mlp_norm.forward(&x)?)?;
        x.add(group.all_sum(&projected)?)
    }
}

/// The final norm and the matrix that makes logits.
type Head = (RmsNorm, Rc<Embedding>);

struct Model {
    embedding: Option<Rc<Embedding>>,
    blocks: Vec<Block>,
    head: Option<Head>,
    /// The ranks that sum their slices: all in a tensor split, this one alone in a pipeline.
    tensor_group: Rc<Group>,
    dimensions: Dimensions,
}

impl CausalModel for Model {
    fn embed(&self, tokens: &Array) -> Computed {
        match &self.embedding {
            Some(embedding) => embedding.embed(tokens),
            None => Err("this rank does not hold the embedding".into()),
        }
    }

    fn layers(&self, mut hidden: Array, rows: &[RowSpan], slots: &mut [SlotCache]) -> Computed {
        for (layer, block) in self.blocks.iter().enumerate() {
            let mut caches: Vec<&mut LayerCache> = slots
                .iter_mut()
                .map(|slot| &mut slot.layers[layer])
                .collect();
            hidden = block.forward(&hidden, &self.tensor_group, rows, &mut caches)?;
        }
        Ok(hidden)
    }

    fn logits(&self, hidden: &Array) -> Computed {
        match &self.head {
            Some((norm, head)) => head.logits(&norm.forward(hidden)?),
            None => Err("this rank does not hold the output head".into()),
        }
    }

    fn layer_count(&self) -> usize {
        self.blocks.len()
    }

    fn dimensions(&self) -> Dimensions {
        self.dimensions
    }
}

/// What all layers of this rank share: its slice of each matrix, and the rotary embedding.
struct Parts {
    slice: TensorSlice,
    rope: Rc<Rope>,
}

impl Parts {
    /// Whole heads, or columns of the MLP: rows of the first matrix of a pair.
    fn rows(&self) -> Cut {
        if self.slice.of == 1 {
            Cut::Whole
        } else {
            Cut::Rows(self.slice)
        }
    }

    /// The columns of the second matrix of a pair that belong to those rows.
    fn columns(&self) -> Cut {
        if self.slice.of == 1 {
            Cut::Whole
        } else {
            Cut::Columns(self.slice)
        }
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
    let (embedding, head) = load_ends(weights, &config, spec)?;
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
        embedding,
        blocks,
        head,
        tensor_group,
        dimensions,
    }))
}

/// What comes before the first layer and after the last, each on the rank that holds that layer.
fn load_ends(
    weights: &mut Weights<'_>,
    config: &Config,
    spec: &ShardSpec,
) -> Result<(Option<Rc<Embedding>>, Option<Head>), LoadError> {
    let table = |weights: &mut Weights<'_>, path: &str| {
        Embedding::load(weights, path, config.vocab_size, config.hidden_size).map(Rc::new)
    };
    let first = spec.layers.start == 0;
    let embedding = if first {
        Some(table(weights, "model.embed_tokens")?)
    } else {
        None
    };
    if spec.rank != 0 {
        return Ok((embedding, None));
    }
    let norm = RmsNorm::load(
        weights,
        "model.norm",
        config.hidden_size,
        config.rms_norm_eps,
    )?;
    let tied = config.tied(weights.has("lm_head.weight"));
    let head = match &embedding {
        Some(embedding) if tied => Rc::clone(embedding),
        _ if tied => table(weights, "model.embed_tokens")?,
        _ => table(weights, "lm_head")?,
    };
    Ok((embedding, Some((norm, head))))
}

fn tensor_degrees(config: &Config, file: &ConfigFile) -> Result<Vec<u32>, LoadError> {
    let mut sizes = vec![
        config.num_attention_heads,
        config.kv_heads(),
        config.intermediate_size,
    ];
    // The second matrix of a pair is cut along its columns, which quantization groups.
    for (path, inputs) in [
        (
            "model.layers.0.self_attn.o_proj",
            config.num_attention_heads * config.head_dim(),
        ),
        ("model.layers.0.mlp.down_proj", config.intermediate_size),
    ] {
        if let Some(how) = file.quantization(path)? {
            sizes.push(inputs / how.group_size);
        }
    }
    Ok(common_degrees(&sizes))
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
