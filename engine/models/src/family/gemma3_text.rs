//! `gemma3_text`: Gemma 3 without its eyes. Norms before and after each part, five of six layers over a window with a rope of
//! their own, embeddings multiplied by the root of their width.
//!
//! Architecture: Gemma 3 Technical Report 2025 (arXiv 2503.19786); numerics follow mlx-lm's `gemma3_text.py`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::decoder::{Architecture, Core, Layout};
use crate::error::LoadError;
use crate::layers::{
    Activation, Block, BlockParts, GroupedAttention, GroupedShape, Mlp, MlpShape, NormKind,
    QueryKeyNorms, Reach, Residual, Rope,
};
use crate::load::{Config, Weights};

/// The ropes of layers that see all, and of those that see a window.
const WIDE_ROPE: usize = 0;
const WINDOW_ROPE: usize = 1;

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Gemma3Text {
    #[serde(flatten)]
    core: Core,
    query_pre_attn_scalar: f32,
    sliding_window: i32,
    sliding_window_pattern: Option<u32>,
    rope_local_base_freq: Option<f32>,
}

impl Gemma3Text {
    fn slides(&self, layer: u32) -> bool {
        let every = self.sliding_window_pattern.unwrap_or(6).max(1);
        !(layer + 1).is_multiple_of(every)
    }
}

impl Architecture for Gemma3Text {
    fn core(&self) -> &Core {
        &self.core
    }

    fn defaults() -> Value {
        // Of the larger ones, whose configurations leave them out.
        json!({
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "rms_norm_eps": 1e-6,
            "vocab_size": 262_208, "rope_theta": 1e6, "query_pre_attn_scalar": 256,
            "max_position_embeddings": 131_072,
        })
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        file.check_sizes(&[("sliding_window", self.sliding_window)])
    }

    fn ropes(&self) -> Result<Vec<Rope>, LoadError> {
        let dimensions = self.core.head_dim();
        let local = self.rope_local_base_freq.unwrap_or(10_000.0);
        Ok(vec![
            Rope::new(&self.core.rope, dimensions)?,
            Rope::plain(local, false, dimensions)?,
        ])
    }

    fn norms(&self, _weights: &Weights<'_>) -> NormKind {
        NormKind {
            eps: self.core.rms_norm_eps,
            offset: 1.0,
        }
    }

    fn reach(&self, layer: u32) -> Reach {
        Reach::within(self.slides(layer).then_some(self.sliding_window))
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let slides = self.slides(parts.layer);
        let attention = GroupedShape {
            norms: QueryKeyNorms::Heads,
            rope: Some(if slides { WINDOW_ROPE } else { WIDE_ROPE }),
            scale: Some(self.query_pre_attn_scalar.powf(-0.5)),
            reach: self.reach(parts.layer),
            ..self.core.attention()
        };
        let mlp = MlpShape {
            activation: Activation::GeluTanh,
            ..MlpShape::silu(self.core.intermediate_size)
        };
        let attention = GroupedAttention::load(parts, "self_attn", &attention)?;
        let mlp = Mlp::load(parts, &mlp)?;
        Ok(Block {
            mixer: Residual::with_after(
                Some(parts.norm("input_layernorm")?),
                Box::new(attention),
                parts.norm("post_attention_layernorm")?,
            ),
            feed_forward: Some(Residual::with_after(
                Some(parts.norm("pre_feedforward_layernorm")?),
                Box::new(mlp),
                parts.norm("post_feedforward_layernorm")?,
            )),
            gate: None,
            scale: None,
        })
    }

    fn layout(&self) -> Layout {
        let mut layout = self.core.layout();
        layout
            .whole
            .extend(["pre_feedforward_layernorm.", "post_feedforward_layernorm."]);
        layout
    }

    fn end_scales(&self) -> [Option<f32>; 2] {
        let width = self.core.hidden_size as f32;
        [Some(in_bfloat16(width.sqrt())), None]
    }
}

/// Rounded to the nearest number of 8 bits of precision, as the reference has it whatever the model's type.
fn in_bfloat16(value: f32) -> f32 {
    let bits = value.to_bits();
    let rounded = bits + 0x7fff + (bits >> 16 & 1);
    f32::from_bits(rounded & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_eight_bits() {
        assert_eq!(in_bfloat16(48.0).to_bits(), 48.0_f32.to_bits());
        // 33.941 lies between 33.75 and 34.
        assert_eq!(in_bfloat16(1152.0_f32.sqrt()).to_bits(), 34.0_f32.to_bits());
    }
}
