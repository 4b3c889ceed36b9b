//! Experts as DeepSeek-V3 has them (arXiv 2412.19437): sigmoid scores with a correction for the choice, groups of experts,
//! and experts that all tokens go through. GLM-4.5 and others have the same.

use serde::Deserialize;

use crate::decoder::{ExpertsUse, Layout};
use crate::error::LoadError;
use crate::layers::{
    BlockParts, Experts, ExpertsShape, Mlp, MlpShape, Router, Routing, Score, SharedExpert,
};
use crate::load::Config;

/// Their fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct DeepseekExperts {
    pub(super) n_routed_experts: Option<i32>,
    n_shared_experts: Option<i32>,
    moe_intermediate_size: i32,
    num_experts_per_tok: i32,
    routed_scaling_factor: Option<f32>,
    norm_topk_prob: Option<bool>,
    n_group: Option<i32>,
    topk_group: Option<i32>,
    first_k_dense_replace: Option<u32>,
    moe_layer_freq: Option<u32>,
    topk_method: Option<String>,
    scoring_func: Option<String>,
}

impl DeepseekExperts {
    pub(super) fn check(&self, file: &Config) -> Result<(), LoadError> {
        let count = self.n_routed_experts.unwrap_or(1);
        let groups = self.n_group.unwrap_or(1);
        file.check_sizes(&[
            ("n_routed_experts", count),
            ("moe_intermediate_size", self.moe_intermediate_size),
            ("num_experts_per_tok", self.num_experts_per_tok),
            ("n_shared_experts", self.n_shared_experts.unwrap_or(1)),
            ("n_group", groups),
            ("topk_group", self.topk_group.unwrap_or(1)),
            ("columns of the shared experts", self.shared_columns()),
        ])?;
        let open = count / groups * self.topk_group.unwrap_or(1).min(groups);
        if count % groups != 0 || self.num_experts_per_tok > open {
            return Err(file.problem("the groups of experts are too small for num_experts_per_tok"));
        }
        for (name, value, known) in [
            ("topk_method", &self.topk_method, "noaux_tc"),
            ("scoring_func", &self.scoring_func, "sigmoid"),
        ] {
            if let Some(other) = value.as_ref().filter(|value| *value != known) {
                return Err(LoadError::Unsupported(format!(
                    "{name} {other} is not supported (hint: {known} is)"
                )));
            }
        }
        Ok(())
    }

    /// Of the shared experts together.
    fn shared_columns(&self) -> i32 {
        let count = self.n_shared_experts.unwrap_or(1);
        self.moe_intermediate_size.checked_mul(count).unwrap_or(0)
    }

    /// Whether a layer has experts.
    pub(super) fn are_in(&self, layer: u32) -> bool {
        let every = self.moe_layer_freq.unwrap_or(1).max(1);
        self.n_routed_experts.is_some()
            && layer >= self.first_k_dense_replace.unwrap_or(0)
            && layer.is_multiple_of(every)
    }

    /// Loads them, and the router: its matrix and the correction are called `mlp.gate`. Where experts are scored by softmax,
    /// as Mistral 4 does, there is no correction.
    pub(super) fn load(
        &self,
        parts: &mut BlockParts<'_, '_>,
        score: Score,
    ) -> Result<Experts, LoadError> {
        let count = self.n_routed_experts.unwrap_or(1);
        let gate = parts.whole("mlp.gate", [count, parts.hidden], false)?;
        let correction = parts.path("mlp.gate.e_score_correction_bias");
        let correction = (score == Score::Sigmoid)
            .then(|| parts.weights.take(&correction, &[count], None))
            .transpose()?;
        let groups = self.n_group.unwrap_or(1);
        let router = Router::new(
            gate,
            Routing {
                each: self.num_experts_per_tok,
                score,
                correction,
                groups: Some([groups, self.topk_group.unwrap_or(groups)]),
                wide: false,
                normalize: self.num_experts_per_tok > 1 && self.norm_topk_prob.unwrap_or(true),
                scale: self.routed_scaling_factor.unwrap_or(1.0),
                scales: None,
            },
        )?;
        let shared = if self.n_shared_experts.is_some() {
            let shape = MlpShape {
                name: "mlp.shared_experts",
                ..MlpShape::silu(self.shared_columns())
            };
            Some(SharedExpert {
                mlp: Mlp::load(parts, &shape)?,
                gate: None,
            })
        } else {
            None
        };
        let shape = ExpertsShape::silu(
            "mlp.switch_mlp",
            "mlp.experts",
            count,
            self.moe_intermediate_size,
        );
        Experts::load(parts, &shape, router, shared)
    }

    /// What they add to a layout.
    pub(super) fn lay_out(&self, layout: &mut Layout) {
        let Some(count) = self.n_routed_experts else {
            return;
        };
        layout.divided.push(self.moe_intermediate_size);
        layout.by_columns.extend([
            ("mlp.switch_mlp.down_proj", self.moe_intermediate_size),
            ("mlp.shared_experts.down_proj", self.shared_columns()),
        ]);
        layout.whole.push("mlp.gate.");
        layout.experts = Some(ExpertsUse {
            names: ["mlp.switch_mlp.", "mlp.experts."],
            count,
            each: self.num_experts_per_tok,
        });
    }
}
