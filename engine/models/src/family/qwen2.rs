//! `qwen2`: Qwen2 and Qwen2.5, dense. Queries, keys and values have biases.
//!
//! Architecture: Qwen2 Technical Report 2024 (arXiv 2407.10671); numerics follow mlx-lm's `qwen2.py`.

use serde::Deserialize;

use crate::decoder::{Architecture, Core, Layout};
use crate::error::LoadError;
use crate::layers::{Block, BlockParts, GroupedAttention, GroupedShape, Mlp, MlpShape};

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Qwen2 {
    #[serde(flatten)]
    core: Core,
}

impl Architecture for Qwen2 {
    fn core(&self) -> &Core {
        &self.core
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = GroupedShape {
            bias: true,
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
