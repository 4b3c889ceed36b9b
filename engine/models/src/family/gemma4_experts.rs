//! Gemma 4's experts: beside a dense part, each with norms of its own; the router has one more, and a factor for each expert.

use mlx_rs::{Array, ops};
use serde::Deserialize;

use crate::decoder::{ExpertsUse, Layout};
use crate::error::LoadError;
use crate::family::Computed;
use crate::layers::{
    Activation, After, BlockParts, Experts, ExpertsShape, FeedForward, Mlp, Onto, Residual,
    RmsNorm, Router, Routing, added,
};
use crate::load::Config;

/// Their fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Gemma4Experts {
    enable_moe_block: bool,
    num_experts: Option<i32>,
    top_k_experts: Option<i32>,
    moe_intermediate_size: Option<i32>,
}

impl Gemma4Experts {
    pub(super) const fn are_there(&self) -> bool {
        self.enable_moe_block
    }

    pub(super) fn check(&self, file: &Config) -> Result<(), LoadError> {
        if !self.enable_moe_block {
            return Ok(());
        }
        file.check_sizes(&[
            ("num_experts", self.count()),
            ("top_k_experts", self.each()),
            ("moe_intermediate_size", self.inner()),
        ])?;
        file.check_at_most(
            ("top_k_experts", self.each()),
            ("num_experts", self.count()),
        )
    }

    fn count(&self) -> i32 {
        self.num_experts.unwrap_or(0)
    }

    fn each(&self) -> i32 {
        self.top_k_experts.unwrap_or(0)
    }

    fn inner(&self) -> i32 {
        self.moe_intermediate_size.unwrap_or(0)
    }

    /// The feed-forward part of a block that has experts beside `mlp`.
    pub(super) fn beside(
        &self,
        parts: &mut BlockParts<'_, '_>,
        mlp: Mlp,
    ) -> Result<Residual<Box<dyn FeedForward>>, LoadError> {
        let beside = Beside {
            mlp,
            mlp_norm: parts.norm("pre_feedforward_layernorm")?,
            experts: self.experts(parts)?,
            experts_norm: parts.norm("pre_feedforward_layernorm_2")?,
        };
        let each = [
            parts.norm("post_feedforward_layernorm_1")?,
            parts.norm("post_feedforward_layernorm_2")?,
        ];
        Ok(Residual {
            before: None,
            part: Box::new(beside),
            after: Some(After::Both {
                each,
                sum: parts.norm("post_feedforward_layernorm")?,
            }),
            scale: None,
        })
    }

    fn experts(&self, parts: &mut BlockParts<'_, '_>) -> Result<Experts, LoadError> {
        let (count, hidden) = (self.count(), parts.hidden);
        let gate = parts.whole("router.proj", [count, hidden], false)?;
        let factors = parts.path("router.per_expert_scale");
        let routing = Routing {
            scales: Some(parts.weights.take(&factors, &[count], None)?),
            ..Routing::softmax(self.each(), true)
        };
        let norm = parts.path("router.scale");
        let norm = parts.weights.take(&norm, &[hidden], None)?;
        let root = Array::from_f32((hidden as f32).powf(-0.5)).as_dtype(norm.dtype())?;
        let norm = RmsNorm::of(norm.multiply(root)?, parts.norms.eps)?;
        let shape = ExpertsShape {
            activation: Activation::GeluTanh,
            ..ExpertsShape::silu("experts.switch_glu", "experts", count, self.inner())
        };
        let router = Router::new(gate, routing)?.with_norm(norm);
        Experts::load(parts, &shape, router, None)
    }

    /// What they add to a layout.
    pub(super) fn lay_out(&self, layout: &mut Layout) {
        if !self.enable_moe_block {
            return;
        }
        layout.divided.push(self.inner());
        layout
            .by_columns
            .push(("experts.switch_glu.down_proj", self.inner()));
        layout.whole.push("router.");
        layout.experts = Some(ExpertsUse {
            names: ["experts."; 2],
            count: self.count(),
            each: self.each(),
        });
    }
}

/// A dense part and experts, whose words stand side by side: `[tokens, hidden]` to `[tokens, 2 * hidden]`.
struct Beside {
    mlp: Mlp,
    mlp_norm: RmsNorm,
    experts: Experts,
    experts_norm: RmsNorm,
}

impl FeedForward for Beside {
    fn forward(&self, x: &Array, onto: Onto<'_>) -> Computed {
        let dense = self.mlp.forward(&self.mlp_norm.forward(x)?, None)?;
        let seen = self.experts_norm.forward(x)?;
        let chosen = self.experts.of_judged(x, &seen, None)?;
        added(ops::concatenate(&[&dense, &chosen], -1)?, onto)
    }
}
