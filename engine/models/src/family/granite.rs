//! `granite`: IBM's Granite 3, a `llama` that multiplies its embeddings, scores, residuals and logits by numbers of its
//! configuration.
//!
//! Numerics follow mlx-lm's `granite.py`.

use serde::Deserialize;

use crate::decoder::{Architecture, Core, Layout};
use crate::error::LoadError;
use crate::layers::{Block, BlockParts, GroupedAttention, GroupedShape, Mlp, MlpShape};
use crate::load::Exceptions;

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Granite {
    #[serde(flatten)]
    core: Core,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    logits_scaling: f32,
    attention_multiplier: f32,
    embedding_multiplier: f32,
    residual_multiplier: f32,
}

impl Architecture for Granite {
    fn core(&self) -> &Core {
        &self.core
    }

    fn exceptions(&self) -> Exceptions {
        Exceptions {
            eight_bits: vec!["self_attn.o_proj", "mlp.down_proj", "lm_head"],
            ..Exceptions::default()
        }
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = GroupedShape {
            bias: self.attention_bias,
            output_bias: self.attention_bias,
            scale: Some(self.attention_multiplier),
            ..self.core.attention()
        };
        let mlp = MlpShape {
            bias: self.mlp_bias,
            ..MlpShape::silu(self.core.intermediate_size)
        };
        let attention = GroupedAttention::load(parts, "self_attn", &attention)?;
        let mlp = Mlp::load(parts, &mlp)?;
        let mut block = Block::usual(parts, attention, mlp)?;
        let scale = Some(self.residual_multiplier);
        block.mixer.scale = scale;
        if let Some(part) = &mut block.feed_forward {
            part.scale = scale;
        }
        Ok(block)
    }

    fn layout(&self) -> Layout {
        self.core.layout()
    }

    fn end_scales(&self) -> [Option<f32>; 2] {
        [
            Some(self.embedding_multiplier),
            Some(1.0 / self.logits_scaling),
        ]
    }
}
