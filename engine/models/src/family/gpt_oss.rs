//! `gpt_oss`: gpt-oss 20B and 120B. Attention with sinks, every other layer over a window; experts with biases.
//!
//! Architecture: gpt-oss model card 2025 (arXiv 2508.10925); numerics follow mlx-lm's `gpt_oss.py`.

use serde::Deserialize;

use crate::decoder::{Architecture, Core, ExpertsUse, Layout};
use crate::error::LoadError;
use crate::layers::{
    Activation, Block, BlockParts, Experts, ExpertsShape, GroupedAttention, GroupedShape, Reach,
    Router, Routing,
};
use crate::load::{Config, Exceptions};

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct GptOss {
    #[serde(flatten)]
    core: Core,
    num_local_experts: i32,
    num_experts_per_tok: i32,
    sliding_window: i32,
    layer_types: Option<Vec<String>>,
}

impl GptOss {
    fn window(&self, layer: u32) -> Option<i32> {
        let named = self.layer_types.as_ref();
        let named = named.and_then(|kinds| kinds.get(layer as usize));
        let slides = named.map_or(layer.is_multiple_of(2), |kind| kind == "sliding_attention");
        slides.then_some(self.sliding_window)
    }

    fn experts(&self, parts: &mut BlockParts<'_, '_>) -> Result<Experts, LoadError> {
        let gate = [self.num_local_experts, self.core.hidden_size];
        // A softmax over the chosen alone is one over all, normalized.
        let router = Router::new(
            parts.whole("mlp.router", gate, true)?,
            Routing::softmax(self.num_experts_per_tok, true),
        )?;
        let shape = ExpertsShape {
            bias: true,
            activation: Activation::ClippedSilu,
            ..ExpertsShape::silu(
                "mlp.experts",
                "mlp.experts",
                self.num_local_experts,
                self.core.intermediate_size,
            )
        };
        Experts::load(parts, &shape, router, None)
    }
}

impl Architecture for GptOss {
    fn core(&self) -> &Core {
        &self.core
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        file.check_sizes(&[
            ("num_local_experts", self.num_local_experts),
            ("num_experts_per_tok", self.num_experts_per_tok),
            ("sliding_window", self.sliding_window),
        ])?;
        file.check_at_most(
            ("num_experts_per_tok", self.num_experts_per_tok),
            ("num_local_experts", self.num_local_experts),
        )
    }

    fn reach(&self, layer: u32) -> Reach {
        Reach::within(self.window(layer))
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = GroupedShape {
            bias: true,
            output_bias: true,
            reach: self.reach(parts.layer),
            sinks: true,
            ..self.core.attention()
        };
        let attention = GroupedAttention::load(parts, "self_attn", &attention)?;
        let experts = self.experts(parts)?;
        Block::usual(parts, attention, experts)
    }

    fn exceptions(&self) -> Exceptions {
        Exceptions {
            eight_bits: vec!["mlp.router"],
            ..Exceptions::default()
        }
    }

    fn layout(&self) -> Layout {
        let inner = self.core.intermediate_size;
        let mut layout = self.core.layout();
        layout.by_columns = vec![
            ("self_attn.o_proj", self.core.attention_width()),
            ("mlp.experts.down_proj", inner),
        ];
        layout.whole.push("mlp.router.");
        layout.experts = Some(ExpertsUse {
            names: ["mlp.experts."; 2],
            count: self.num_local_experts,
            each: self.num_experts_per_tok,
        });
        layout
    }
}
