//! `deepseek_v3`: DeepSeek V3, V3.1 and R1, Kimi K2 (`kimi_k2`), JoyAI Flash, the text part of Kimi K2.5 (`kimi_k25`);
//! `deepseek_v32` and `glm_moe_dsa`: DeepSeek V3.2 and GLM-5, which attend to a few positions that an indexer chooses; and
//! `glm4_moe_lite`: GLM-4.7 Flash, which has the same parts; `mistral4`: Mistral Small 4, which scales late queries and scores
//! experts by softmax.
//!
//! Architecture: DeepSeek-V3 Technical Report 2024 (arXiv 2412.19437); numerics follow mlx-lm's `deepseek_v3.py` and
//! `deepseek_v32.py`.

use serde::Deserialize;

use super::deepseek_experts::DeepseekExperts;
use crate::decoder::{Architecture, Core, Layout};
use crate::error::LoadError;
use crate::layers::{
    Block, BlockParts, IndexerShape, LatentAttention, LatentShape, Mlp, MlpShape, Rope, Score,
};
use crate::load::{Config, Exceptions};

/// The norms inside of attention; DeepSeek's configuration does not say it.
const LATENT_EPS: f32 = 1e-6;

/// Whose experts are scored by softmax.
const MISTRAL: &str = "mistral4";
/// Those that have an indexer.
const SPARSE: &str = "deepseek_v32";
const GLM_SPARSE: &str = "glm_moe_dsa";
/// Its rope; the first is attention's.
const INDEXER_ROPE: usize = 1;

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct DeepseekV3 {
    #[serde(flatten)]
    core: Core,
    #[serde(flatten)]
    experts: DeepseekExperts,
    model_type: Option<String>,
    kv_lora_rank: i32,
    q_lora_rank: Option<i32>,
    qk_rope_head_dim: i32,
    qk_nope_head_dim: i32,
    v_head_dim: i32,
    #[serde(default)]
    attention_bias: bool,
    index_head_dim: Option<i32>,
    index_n_heads: Option<i32>,
    index_topk: Option<i32>,
    indexer_rope_interleave: Option<bool>,
    rope_interleave: Option<bool>,
}

impl DeepseekV3 {
    fn attention(&self) -> LatentShape {
        let width = (self.qk_nope_head_dim + self.qk_rope_head_dim) as f32;
        LatentShape {
            heads: self.core.num_attention_heads,
            latent: self.kv_lora_rank,
            query_latent: self.q_lora_rank,
            plain: self.qk_nope_head_dim,
            rotated: self.qk_rope_head_dim,
            value: self.v_head_dim,
            bias: self.attention_bias,
            scale: width.powf(-0.5) * self.core.rope.score_factor(),
            indexer: self.indexer(),
            temperature: self.core.rope.temperature(),
            eps: match self.model_type.as_deref() {
                Some("glm4_moe_lite") => self.core.rms_norm_eps,
                _ => LATENT_EPS,
            },
        }
    }

    fn indexer(&self) -> Option<IndexerShape> {
        match self.model_type.as_deref() {
            Some(SPARSE | GLM_SPARSE) => Some(IndexerShape {
                heads: self.index_n_heads.unwrap_or(64),
                head_dim: self.index_head_dim.unwrap_or(128),
                count: self.index_topk.unwrap_or(2048),
                rope: INDEXER_ROPE,
            }),
            _ => None,
        }
    }
}

impl Architecture for DeepseekV3 {
    fn core(&self) -> &Core {
        &self.core
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        self.experts.check(file)?;
        if let Some(temperature) = self.core.rope.temperature() {
            temperature.check(file)?;
        }
        if let Some(indexer) = self.indexer() {
            file.check_sizes(&[
                ("index_n_heads", indexer.heads),
                ("index_head_dim", indexer.head_dim),
                (
                    "index_head_dim of all heads",
                    indexer.heads.checked_mul(indexer.head_dim).unwrap_or(0),
                ),
                ("index_topk", indexer.count),
                // Which the indexer's queries are made of.
                ("q_lora_rank", self.q_lora_rank.unwrap_or(0)),
            ])?;
            file.check_at_most(
                ("qk_rope_head_dim", self.qk_rope_head_dim),
                ("index_head_dim", indexer.head_dim),
            )?;
        }
        let heads = self.core.num_attention_heads;
        let of_all = |size: i32| size.checked_mul(heads).unwrap_or(0);
        file.check_sizes(&[
            ("kv_lora_rank", self.kv_lora_rank),
            ("q_lora_rank", self.q_lora_rank.unwrap_or(1)),
            ("qk_rope_head_dim", self.qk_rope_head_dim),
            ("qk_nope_head_dim", self.qk_nope_head_dim),
            ("v_head_dim", self.v_head_dim),
            (
                "qk_nope_head_dim of all heads",
                of_all(self.qk_nope_head_dim),
            ),
            (
                "qk_rope_head_dim of all heads",
                of_all(self.qk_rope_head_dim),
            ),
            ("v_head_dim of all heads", of_all(self.v_head_dim)),
        ])
    }

    fn ropes(&self) -> Result<Vec<Rope>, LoadError> {
        let rope = |traditional| {
            let mut config = self.core.rope.clone();
            config.rope_traditional = traditional;
            Rope::new(&config, self.qk_rope_head_dim)
        };
        let is_glm = self.model_type.as_deref() == Some(GLM_SPARSE);
        let of_indexer = self.indexer_rope_interleave.unwrap_or(is_glm);
        let own = match self.model_type.as_deref() {
            Some(MISTRAL) => self.rope_interleave.unwrap_or(true),
            _ => true,
        };
        Ok(vec![rope(own)?, rope(of_indexer)?])
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = LatentAttention::load(parts, "self_attn", self.attention())?;
        if self.experts.are_in(parts.layer) {
            let score = match self.model_type.as_deref() {
                Some(MISTRAL) => Score::Softmax,
                _ => Score::Sigmoid,
            };
            let experts = self.experts.load(parts, score)?;
            return Block::usual(parts, attention, experts);
        }
        let mlp = Mlp::load(parts, &MlpShape::silu(self.core.intermediate_size))?;
        Block::usual(parts, attention, mlp)
    }

    fn cache_elements(&self, _layer: u32) -> i32 {
        let indexed = self.indexer().map_or(0, |indexer| indexer.head_dim);
        self.kv_lora_rank + self.qk_rope_head_dim + indexed
    }

    fn divides_cache(&self) -> bool {
        // All heads of all ranks make their keys and values of the same latent.
        false
    }

    fn exceptions(&self) -> Exceptions {
        let LatentShape {
            heads,
            latent,
            plain,
            value,
            ..
        } = self.attention();
        let [heads, latent, plain, value] = [heads, latent, plain, value].map(|size| size as u64);
        let keys_and_values = vec![[heads * latent, plain], [heads * value, latent]];
        Exceptions {
            // Mistral's router is a matrix like the others.
            dense: match self.model_type.as_deref() {
                Some(MISTRAL) => Vec::new(),
                _ => vec!["mlp.gate"],
            },
            apart: vec![("self_attn.kv_b_proj", keys_and_values)],
            ..Exceptions::default()
        }
    }

    fn layout(&self) -> Layout {
        let heads = self.core.num_attention_heads;
        let inner = self.core.intermediate_size;
        let mut layout = Layout {
            divided: vec![heads, inner],
            by_columns: vec![
                ("self_attn.o_proj", heads * self.v_head_dim),
                ("mlp.down_proj", inner),
            ],
            whole: vec![
                "input_layernorm.",
                "post_attention_layernorm.",
                "self_attn.q_a_",
                "self_attn.kv_a_",
                "self_attn.indexer.",
            ],
            experts: None,
        };
        self.experts.lay_out(&mut layout);
        layout
    }
}
