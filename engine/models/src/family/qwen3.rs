//! `qwen3`: Qwen3's dense models. Queries and keys are normalized head by head before they are rotated.
//!
//! Architecture: Qwen3 Technical Report 2025 (arXiv 2505.09388); numerics follow mlx-lm's `qwen3.py`.

use serde::Deserialize;

use crate::decoder::{Architecture, Core, Layout};
use crate::error::LoadError;
use crate::layers::{
    Block, BlockParts, GroupedAttention, GroupedShape, Mlp, MlpShape, QueryKeyNorms,
};

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Qwen3 {
    #[serde(flatten)]
    core: Core,
    #[serde(default)]
    attention_bias: bool,
}

impl Architecture for Qwen3 {
    fn core(&self) -> &Core {
        &self.core
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = GroupedShape {
            bias: self.attention_bias,
            output_bias: self.attention_bias,
            norms: QueryKeyNorms::Heads,
            ..self.core.attention()
        };
        let attention = GroupedAttention::load(parts, "self_attn", &attention)?;
        let mlp = Mlp::load(parts, &MlpShape::silu(self.core.intermediate_size))?;
        Block::usual(parts, attention, mlp)
    }

    fn layout(&self) -> Layout {
        self.core.layout()
    }
}
