//! `minimax` (`minimax_m2`): MiniMax M2. Grouped-query attention whose queries and keys are normalized over all heads
//! together, and experts chosen by corrected sigmoid scores.
//!
//! Architecture: MiniMax-01 2025 (arXiv 2501.08313) and the M2 model card; numerics follow mlx-lm's `minimax.py`.

use serde::Deserialize;

use crate::decoder::{Architecture, Core, ExpertsUse, Layout};
use crate::error::LoadError;
use crate::layers::{
    Block, BlockParts, Experts, ExpertsShape, GroupedAttention, GroupedShape, QueryKeyNorms, Rope,
    Router, Routing, Score,
};
use crate::load::{Config, Exceptions};

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct MiniMax {
    #[serde(flatten)]
    core: Core,
    num_local_experts: i32,
    num_experts_per_tok: i32,
    rotary_dim: i32,
    use_qk_norm: Option<bool>,
}

impl MiniMax {
    fn normalizes(&self) -> bool {
        self.use_qk_norm.unwrap_or(true)
    }

    fn experts(&self, parts: &mut BlockParts<'_, '_>) -> Result<Experts, LoadError> {
        let count = self.num_local_experts;
        let gate = parts.whole("block_sparse_moe.gate", [count, parts.hidden], false)?;
        let correction = parts.path("block_sparse_moe.e_score_correction_bias");
        let router = Router::new(
            gate,
            Routing {
                each: self.num_experts_per_tok,
                score: Score::Sigmoid,
                correction: Some(parts.weights.take(&correction, &[count], None)?),
                groups: None,
                wide: true,
                normalize: true,
                scale: 1.0,
                scales: None,
            },
        )?;
        let shape = ExpertsShape {
            single: ("block_sparse_moe.experts", ["w1", "w3", "w2"]),
            ..ExpertsShape::silu(
                "block_sparse_moe.switch_mlp",
                "block_sparse_moe.experts",
                count,
                self.core.intermediate_size,
            )
        };
        Experts::load(parts, &shape, router, None)
    }
}

impl Architecture for MiniMax {
    fn core(&self) -> &Core {
        &self.core
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        file.check_sizes(&[
            ("num_local_experts", self.num_local_experts),
            ("num_experts_per_tok", self.num_experts_per_tok),
            ("rotary_dim", self.rotary_dim),
        ])?;
        file.check_at_most(
            ("num_experts_per_tok", self.num_experts_per_tok),
            ("num_local_experts", self.num_local_experts),
        )?;
        file.check_at_most(
            ("rotary_dim", self.rotary_dim),
            ("head_dim", self.core.head_dim()),
        )
    }

    fn ropes(&self) -> Result<Vec<Rope>, LoadError> {
        Ok(vec![Rope::new(&self.core.rope, self.rotary_dim)?])
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = GroupedShape {
            norms: if self.normalizes() {
                QueryKeyNorms::Together
            } else {
                QueryKeyNorms::None
            },
            ..self.core.attention()
        };
        let attention = GroupedAttention::load(parts, "self_attn", &attention)?;
        let experts = self.experts(parts)?;
        Block::usual(parts, attention, experts)
    }

    fn exceptions(&self) -> Exceptions {
        Exceptions {
            eight_bits: vec!["block_sparse_moe.gate"],
            ..Exceptions::default()
        }
    }

    fn layout(&self) -> Layout {
        let inner = self.core.intermediate_size;
        let mut layout = self.core.layout().with_norms_across();
        layout.by_columns = vec![
            ("self_attn.o_proj", self.core.attention_width()),
            ("block_sparse_moe.switch_mlp.down_proj", inner),
        ];
        layout.whole.extend([
            "block_sparse_moe.gate.",
            "block_sparse_moe.e_score_correction_bias",
        ]);
        layout.experts = Some(ExpertsUse {
            names: ["block_sparse_moe.switch_mlp.", "block_sparse_moe.experts."],
            count: self.num_local_experts,
            each: self.num_experts_per_tok,
        });
        layout
    }
}
