//! `glm4_moe`: GLM-4.5 and 4.6. Grouped-query attention that rotates a part of each head, and DeepSeek's experts.
//!
//! Architecture: GLM-4.5 Technical Report 2025 (arXiv 2508.06471); numerics follow mlx-lm's `glm4_moe.py`.

use serde::Deserialize;

use super::deepseek_experts::DeepseekExperts;
use crate::decoder::{Architecture, Core, Layout};
use crate::error::LoadError;
use crate::layers::{
    Block, BlockParts, GroupedAttention, GroupedShape, Mlp, MlpShape, QueryKeyNorms, Rope, Score,
};
use crate::load::{Config, Exceptions};

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Glm4Moe {
    #[serde(flatten)]
    core: Core,
    #[serde(flatten)]
    experts: DeepseekExperts,
    #[serde(default)]
    use_qk_norm: bool,
    #[serde(default)]
    attention_bias: bool,
    partial_rotary_factor: Option<f32>,
}

impl Architecture for Glm4Moe {
    fn core(&self) -> &Core {
        &self.core
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        self.experts.check(file)
    }

    fn ropes(&self) -> Result<Vec<Rope>, LoadError> {
        let part = self.partial_rotary_factor.unwrap_or(1.0);
        self.core.ropes_over(part)
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = GroupedShape {
            bias: self.attention_bias,
            norms: if self.use_qk_norm {
                QueryKeyNorms::Heads
            } else {
                QueryKeyNorms::None
            },
            ..self.core.attention()
        };
        let attention = GroupedAttention::load(parts, "self_attn", &attention)?;
        if self.experts.are_in(parts.layer) {
            let experts = self.experts.load(parts, Score::Sigmoid)?;
            return Block::usual(parts, attention, experts);
        }
        let mlp = Mlp::load(parts, &MlpShape::silu(self.core.intermediate_size))?;
        Block::usual(parts, attention, mlp)
    }

    fn exceptions(&self) -> Exceptions {
        Exceptions {
            dense: vec!["mlp.gate"],
            ..Exceptions::default()
        }
    }

    fn layout(&self) -> Layout {
        let mut layout = self.core.layout();
        self.experts.lay_out(&mut layout);
        layout
    }
}
