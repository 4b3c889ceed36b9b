//! `phi3`: Phi-3 and Phi-4. Queries, keys and values lie in one matrix, and gate and up in another.
//!
//! Architecture: Phi-3 Technical Report 2024 (arXiv 2404.14219); numerics follow mlx-lm's `phi3.py`.

use serde::Deserialize;

use crate::decoder::{Architecture, Core, Layout};
use crate::error::LoadError;
use crate::layers::{
    Block, BlockParts, GroupedAttention, GroupedShape, Mlp, MlpShape, Rope, Stored,
};

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Phi3 {
    #[serde(flatten)]
    core: Core,
    partial_rotary_factor: Option<f32>,
}

impl Architecture for Phi3 {
    fn core(&self) -> &Core {
        &self.core
    }

    fn ropes(&self) -> Result<Vec<Rope>, LoadError> {
        let part = self.partial_rotary_factor.unwrap_or(1.0);
        self.core.ropes_over(part)
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = GroupedShape {
            stored: Stored::Together,
            ..self.core.attention()
        };
        let mlp = MlpShape {
            stored: Stored::Together,
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
