//! `qwen3_moe`: Qwen3's mixtures of experts, 30B-A3B, 235B-A22B and Coder. Attention is that of `qwen3`.
//!
//! Architecture: Qwen3 Technical Report 2025 (arXiv 2505.09388); numerics follow mlx-lm's `qwen3_moe.py`.

use serde::Deserialize;

use crate::decoder::{Architecture, Core, ExpertsUse, Layout};
use crate::error::LoadError;
use crate::layers::{
    Block, BlockParts, Experts, ExpertsShape, GroupedAttention, GroupedShape, Mlp, MlpShape,
    QueryKeyNorms, Router, Routing,
};
use crate::load::{Config, Exceptions};

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Qwen3Moe {
    #[serde(flatten)]
    core: Core,
    num_experts: i32,
    num_experts_per_tok: i32,
    moe_intermediate_size: i32,
    #[serde(default)]
    norm_topk_prob: bool,
    /// Every so many layers there are experts.
    decoder_sparse_step: Option<u32>,
    /// Layers without.
    mlp_only_layers: Option<Vec<u32>>,
}

impl Qwen3Moe {
    fn has_experts(&self, layer: u32) -> bool {
        let step = self.decoder_sparse_step.unwrap_or(1).max(1);
        let without = self.mlp_only_layers.iter().flatten();
        (layer + 1).is_multiple_of(step) && !without.into_iter().any(|one| *one == layer)
    }

    fn experts(&self, parts: &mut BlockParts<'_, '_>) -> Result<Experts, LoadError> {
        let gate = [self.num_experts, self.core.hidden_size];
        let router = Router::new(
            parts.whole("mlp.gate", gate, false)?,
            Routing::softmax(self.num_experts_per_tok, self.norm_topk_prob),
        )?;
        let shape = ExpertsShape::silu(
            "mlp.switch_mlp",
            "mlp.experts",
            self.num_experts,
            self.moe_intermediate_size,
        );
        Experts::load(parts, &shape, router, None)
    }
}

impl Architecture for Qwen3Moe {
    fn core(&self) -> &Core {
        &self.core
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        file.check_sizes(&[
            ("num_experts", self.num_experts),
            ("num_experts_per_tok", self.num_experts_per_tok),
            ("moe_intermediate_size", self.moe_intermediate_size),
        ])?;
        file.check_at_most(
            ("num_experts_per_tok", self.num_experts_per_tok),
            ("num_experts", self.num_experts),
        )
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = GroupedShape {
            norms: QueryKeyNorms::Heads,
            ..self.core.attention()
        };
        let attention = GroupedAttention::load(parts, "self_attn", &attention)?;
        if self.has_experts(parts.layer) {
            let experts = self.experts(parts)?;
            return Block::usual(parts, attention, experts);
        }
        let mlp = Mlp::load(parts, &MlpShape::silu(self.core.intermediate_size))?;
        Block::usual(parts, attention, mlp)
    }

    fn exceptions(&self) -> Exceptions {
        Exceptions {
            eight_bits: vec!["mlp.gate"],
            ..Exceptions::default()
        }
    }

    fn layout(&self) -> Layout {
        let mut layout = self.core.layout();
        layout.divided.push(self.moe_intermediate_size);
        layout
            .by_columns
            .push(("mlp.switch_mlp.down_proj", self.moe_intermediate_size));
        layout.whole.push("mlp.gate.");
        layout.experts = Some(ExpertsUse {
            names: ["mlp.switch_mlp.", "mlp.experts."],
            count: self.num_experts,
            each: self.num_experts_per_tok,
        });
        layout
    }
}
