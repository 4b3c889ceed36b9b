//! `smollm3`: SmolLM3, a `llama` whose every fourth layer does not rotate (Yang et al. 2025, arXiv 2501.18795).
//!
//! Numerics follow mlx-lm's `smollm3.py`.

use serde::Deserialize;

use crate::decoder::{Architecture, Core, Layout};
use crate::error::LoadError;
use crate::layers::{Block, BlockParts, GroupedAttention, GroupedShape, Mlp, MlpShape};

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SmolLm3 {
    #[serde(flatten)]
    core: Core,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    no_rope_layer_interval: Option<u32>,
    /// For each layer 1 if it rotates, and 0 if not.
    no_rope_layers: Option<Vec<u32>>,
}

impl SmolLm3 {
    fn rotates(&self, layer: u32) -> bool {
        let said = self.no_rope_layers.as_ref();
        let said = said.and_then(|layers| layers.get(layer as usize));
        let every = self.no_rope_layer_interval.unwrap_or(4).max(1);
        said.map_or(!(layer + 1).is_multiple_of(every), |said| *said != 0)
    }
}

impl Architecture for SmolLm3 {
    fn core(&self) -> &Core {
        &self.core
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = GroupedShape {
            bias: self.attention_bias,
            output_bias: self.attention_bias,
            rope: self.rotates(parts.layer).then_some(0),
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
