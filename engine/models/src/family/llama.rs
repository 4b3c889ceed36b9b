//! `llama`: Llama 2 and 3, SmolLM, TinyLlama, Sprout; `mistral`, `xverse` and `seed_oss`, which are the same but for biases;
//! `ministral3`, which scales late queries; and the text part of `mistral3` if that does not say what it is.
//!
//! Architecture: Touvron et al. 2023 (arXiv 2302.13971); numerics follow mlx-lm's `llama.py` and
//! `ministral3.py`.

use serde::Deserialize;

use crate::decoder::{Architecture, Core, Layout};
use crate::error::LoadError;
use crate::layers::{Block, BlockParts, GroupedAttention, GroupedShape, Mlp, MlpShape, Reach};
use crate::load::Config;

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Llama {
    #[serde(flatten)]
    core: Core,
    model_type: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    /// Of what comes out of attention; as the others if it is not said.
    attention_out_bias: Option<bool>,
    #[serde(default)]
    mlp_bias: bool,
    /// One of `full_attention` and `sliding_attention` for each layer, where there are several kinds.
    layer_types: Option<Vec<String>>,
    sliding_window: Option<i32>,
}

impl Llama {
    /// Seed-OSS says for itself what comes out, and nothing of it means no bias.
    fn output_biased(&self) -> bool {
        self.attention_bias && self.model_type.as_deref() != Some("seed_oss")
    }

    fn window(&self, layer: u32) -> Option<i32> {
        let kinds = self.layer_types.as_ref()?;
        let kind = kinds.get(layer as usize)?;
        self.sliding_window.filter(|_| kind == "sliding_attention")
    }
}

impl Architecture for Llama {
    fn core(&self) -> &Core {
        &self.core
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        if let Some(window) = self.sliding_window {
            file.check_sizes(&[("sliding_window", window)])?;
        }
        match self.core.rope.temperature() {
            Some(temperature) => temperature.check(file),
            None => Ok(()),
        }
    }

    fn reach(&self, layer: u32) -> Reach {
        Reach::within(self.window(layer))
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = GroupedShape {
            bias: self.attention_bias,
            output_bias: self.attention_out_bias.unwrap_or(self.output_biased()),
            reach: self.reach(parts.layer),
            temperature: self.core.rope.temperature(),
            ..self.core.attention()
        };
        let mlp = MlpShape {
            bias: self.mlp_bias,
            ..MlpShape::silu(self.core.intermediate_size)
        };
        let attention = GroupedAttention::load(parts, "self_attn", &attention)?;
        let mlp = Mlp::load(parts, &mlp)?;
        Block::usual(parts, attention, mlp)
    }

    fn layout(&self) -> Layout {
        self.core.layout()
    }
}
