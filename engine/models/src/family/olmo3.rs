//! `olmo3`: OLMo 3. Norms stand after each part, queries and keys are normalized over all heads together, and three of four
//! layers see a window.
//!
//! Numerics follow mlx-lm's `olmo3.py`.

use serde::Deserialize;

use crate::decoder::{Architecture, Core, Layout};
use crate::error::LoadError;
use crate::layers::{
    Block, BlockParts, GroupedAttention, GroupedShape, Mlp, MlpShape, QueryKeyNorms, Reach,
    Residual, Rope,
};
use crate::load::Config;

/// The ropes of layers that see all, and of those that see a window.
const WIDE_ROPE: usize = 0;
const WINDOW_ROPE: usize = 1;

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Olmo3 {
    #[serde(flatten)]
    core: Core,
    #[serde(default)]
    attention_bias: bool,
    sliding_window: i32,
    layer_types: Option<Vec<String>>,
}

impl Olmo3 {
    fn slides(&self, layer: u32) -> bool {
        let kinds = self.layer_types.as_ref();
        let kind = kinds.and_then(|kinds| kinds.get(layer as usize));
        kind.map_or(!(layer + 1).is_multiple_of(4), |kind| {
            kind != "full_attention"
        })
    }
}

impl Architecture for Olmo3 {
    fn core(&self) -> &Core {
        &self.core
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        file.check_sizes(&[("sliding_window", self.sliding_window)])
    }

    fn ropes(&self) -> Result<Vec<Rope>, LoadError> {
        let (config, dimensions) = (&self.core.rope, self.core.head_dim());
        Ok(vec![
            Rope::new(config, dimensions)?,
            Rope::plain(config.theta(), false, dimensions)?,
        ])
    }

    fn reach(&self, layer: u32) -> Reach {
        Reach::within(self.slides(layer).then_some(self.sliding_window))
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let slides = self.slides(parts.layer);
        let attention = GroupedShape {
            bias: self.attention_bias,
            output_bias: self.attention_bias,
            norms: QueryKeyNorms::Together,
            rope: Some(if slides { WINDOW_ROPE } else { WIDE_ROPE }),
            reach: self.reach(parts.layer),
            ..self.core.attention()
        };
        let attention = GroupedAttention::load(parts, "self_attn", &attention)?;
        let mlp = Mlp::load(parts, &MlpShape::silu(self.core.intermediate_size))?;
        Ok(Block {
            mixer: Residual::with_after(
                None,
                Box::new(attention),
                parts.norm("post_attention_layernorm")?,
            ),
            feed_forward: Some(Residual::with_after(
                None,
                Box::new(mlp),
                parts.norm("post_feedforward_layernorm")?,
            )),
            gate: None,
            scale: None,
        })
    }

    fn layout(&self) -> Layout {
        let mut layout = self.core.layout().with_norms_across();
        layout.whole.push("post_feedforward_layernorm.");
        layout
    }
}
