//! `qwen3_next`: Qwen3-Next 80B-A3B; `qwen3_5` and `qwen3_5_moe`: Qwen3.5 without its eyes, which has the same parts. Three of four
//! layers are gated delta nets, the others attention with a gate; experts, or one feed-forward part.
//!
//! Architecture: the Qwen3-Next model card and Gated Delta Networks (arXiv 2412.06464); numerics follow mlx-lm's
//! `qwen3_next.py` and `qwen3_5.py`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::decoder::{Architecture, Core, ExpertsUse, Layout};
use crate::error::LoadError;
use crate::layers::{
    Block, BlockParts, DeltaShape, Experts, ExpertsShape, GatedDeltaNet, GroupedAttention,
    GroupedShape, Memory, Mixer, Mlp, MlpShape, NormKind, OutputGate, QueryKeyNorms, Rope, Router,
    Routing, SharedExpert,
};
use crate::load::{Config, Exceptions, Weights};

/// Of a head's elements, how many are rotated where it is not said.
const ROTATED_USUAL: f32 = 0.25;

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Qwen3Next {
    #[serde(flatten)]
    core: Core,
    model_type: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    partial_rotary_factor: Option<f32>,
    linear_num_value_heads: i32,
    linear_num_key_heads: i32,
    linear_key_head_dim: i32,
    linear_value_head_dim: i32,
    linear_conv_kernel_dim: i32,
    /// Every so many layers there is attention.
    full_attention_interval: Option<u32>,
    #[serde(default)]
    num_experts: i32,
    num_experts_per_tok: Option<i32>,
    moe_intermediate_size: Option<i32>,
    shared_expert_intermediate_size: Option<i32>,
    norm_topk_prob: Option<bool>,
    /// Every so many layers there are experts.
    decoder_sparse_step: Option<u32>,
    /// Layers without.
    mlp_only_layers: Option<Vec<u32>>,
}

impl Qwen3Next {
    fn has_attention(&self, layer: u32) -> bool {
        let every = self.full_attention_interval.unwrap_or(4).max(1);
        (layer + 1).is_multiple_of(every)
    }

    fn has_experts(&self, layer: u32) -> bool {
        let step = self.decoder_sparse_step.unwrap_or(1).max(1);
        let without = self.mlp_only_layers.iter().flatten();
        self.num_experts > 0
            && (layer + 1).is_multiple_of(step)
            && !without.into_iter().any(|one| *one == layer)
    }

    fn delta(&self) -> DeltaShape {
        DeltaShape {
            key_heads: self.linear_num_key_heads,
            value_heads: self.linear_num_value_heads,
            key_dim: self.linear_key_head_dim,
            value_dim: self.linear_value_head_dim,
            kernel: self.linear_conv_kernel_dim,
            eps: self.core.rms_norm_eps,
        }
    }

    fn expert_columns(&self) -> i32 {
        self.moe_intermediate_size.unwrap_or(0)
    }

    fn shared_columns(&self) -> i32 {
        self.shared_expert_intermediate_size.unwrap_or(0)
    }

    fn experts(&self, parts: &mut BlockParts<'_, '_>) -> Result<Experts, LoadError> {
        let (count, hidden) = (self.num_experts, parts.hidden);
        let gate = parts.whole("mlp.gate", [count, hidden], false)?;
        let normalizes = self.model_type.as_deref() != Some("qwen3_next");
        let normalizes = self.norm_topk_prob.unwrap_or(normalizes);
        let routing = Routing::softmax(self.num_experts_per_tok.unwrap_or(0), normalizes);
        let shared = MlpShape {
            name: "mlp.shared_expert",
            ..MlpShape::silu(self.shared_columns())
        };
        let shared = SharedExpert {
            mlp: Mlp::load(parts, &shared)?,
            gate: Some(parts.whole("mlp.shared_expert_gate", [1, hidden], false)?),
        };
        let (stacked, single) = ("mlp.switch_mlp", "mlp.experts");
        let shape = ExpertsShape::silu(stacked, single, count, self.expert_columns());
        Experts::load(parts, &shape, Router::new(gate, routing)?, Some(shared))
    }

    /// A block with this in the place of attention.
    fn block_with(
        &self,
        parts: &mut BlockParts<'_, '_>,
        mixer: impl Mixer + 'static,
    ) -> Result<Block, LoadError> {
        if self.has_experts(parts.layer) {
            let experts = self.experts(parts)?;
            return Block::usual(parts, mixer, experts);
        }
        let mlp = Mlp::load(parts, &MlpShape::silu(self.core.intermediate_size))?;
        Block::usual(parts, mixer, mlp)
    }

    fn check_delta(&self, file: &Config) -> Result<(), LoadError> {
        let delta = self.delta();
        let times = |a: i32, b: i32| a.checked_mul(b).unwrap_or(0);
        let keys = times(delta.key_heads, delta.key_dim);
        let values = times(delta.value_heads, delta.value_dim);
        file.check_sizes(&[
            ("linear_num_key_heads", delta.key_heads),
            ("linear_num_value_heads", delta.value_heads),
            ("linear_key_head_dim", delta.key_dim),
            ("linear_value_head_dim", delta.value_dim),
            ("linear_key_head_dim of all heads", keys),
            ("linear_value_head_dim of all heads", values),
            ("elements of a state", times(values, delta.key_dim)),
            // It sees at least one token before each.
            ("linear_conv_kernel_dim - 1", delta.kernel.saturating_sub(1)),
            (
                "inputs of the convolution",
                times(keys.saturating_mul(2).saturating_add(values), delta.kernel),
            ),
        ])?;
        if delta.value_heads % delta.key_heads != 0 {
            let problem = "linear_num_value_heads is no multiple of linear_num_key_heads";
            return Err(file.problem(problem));
        }
        Ok(())
    }

    fn check_experts(&self, file: &Config) -> Result<(), LoadError> {
        if self.num_experts == 0 {
            return Ok(());
        }
        let each = self.num_experts_per_tok.unwrap_or(0);
        file.check_sizes(&[
            ("num_experts", self.num_experts),
            ("num_experts_per_tok", each),
            ("moe_intermediate_size", self.expert_columns()),
            ("shared_expert_intermediate_size", self.shared_columns()),
        ])?;
        file.check_at_most(
            ("num_experts_per_tok", each),
            ("num_experts", self.num_experts),
        )
    }
}

impl Architecture for Qwen3Next {
    fn core(&self) -> &Core {
        &self.core
    }

    fn defaults() -> Value {
        // Not said where all layers have experts.
        json!({"intermediate_size": 1})
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        self.check_delta(file)?;
        self.check_experts(file)
    }

    fn ropes(&self) -> Result<Vec<Rope>, LoadError> {
        let said = self.core.rope.rotated_part();
        let part = self.partial_rotary_factor.or(said);
        self.core.ropes_over(part.unwrap_or(ROTATED_USUAL))
    }

    fn memory(&self, layer: u32) -> Memory {
        if self.has_attention(layer) {
            Memory::Positions
        } else {
            Memory::State
        }
    }

    fn state_bytes(&self, layer: u32, element_bytes: u64) -> u64 {
        match self.memory(layer) {
            Memory::State => self.delta().state_bytes(element_bytes),
            Memory::Positions | Memory::Window(_) | Memory::Nothing => 0,
        }
    }

    fn norms(&self, weights: &Weights<'_>) -> NormKind {
        let layers = 0..self.core.num_hidden_layers as u32;
        let delta = { layers }.find(|layer| !self.has_attention(*layer));
        let conv = delta.map(|layer| format!("model.layers.{layer}.linear_attn.conv1d.weight"));
        // As its makers have it, before mlx-lm lays the convolution out for MLX, norms say how far they are from 1.
        let delta = self.delta();
        let inputs = 2 * delta.key_width() + delta.value_width();
        let as_made = conv.is_some_and(|conv| weights.is(&conv, &[inputs, 1, delta.kernel]));
        NormKind {
            eps: self.core.rms_norm_eps,
            offset: if as_made { 1.0 } else { 0.0 },
        }
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        if !self.has_attention(parts.layer) {
            let delta = GatedDeltaNet::load(parts, "linear_attn", self.delta())?;
            return self.block_with(parts, delta);
        }
        let attention = GroupedShape {
            bias: self.attention_bias,
            output_bias: self.attention_bias,
            norms: QueryKeyNorms::Heads,
            gate: OutputGate::BesideQueries,
            ..self.core.attention()
        };
        let attention = GroupedAttention::load(parts, "self_attn", &attention)?;
        self.block_with(parts, attention)
    }

    fn exceptions(&self) -> Exceptions {
        Exceptions {
            eight_bits: vec!["mlp.gate", "shared_expert_gate"],
            ..Exceptions::default()
        }
    }

    fn layout(&self) -> Layout {
        let (core, delta) = (&self.core, self.delta());
        let mut layout = core.layout();
        let layers = 0..core.num_hidden_layers as u32;
        if { layers }.all(|layer| self.has_experts(layer)) {
            layout.divided = vec![core.num_attention_heads, core.kv_heads()];
            layout.by_columns = vec![("self_attn.o_proj", core.attention_width())];
        }
        layout.divided.push(delta.key_heads);
        layout
            .by_columns
            .push(("linear_attn.out_proj", delta.value_width()));
        layout.whole.push("linear_attn.norm.");
        if self.num_experts > 0 {
            self.lay_out_experts(&mut layout);
        }
        layout
    }
}

impl Qwen3Next {
    fn lay_out_experts(&self, layout: &mut Layout) {
        let (inner, shared) = (self.expert_columns(), self.shared_columns());
        layout.divided.extend([inner, shared]);
        layout.by_columns.extend([
            ("mlp.switch_mlp.down_proj", inner),
            ("mlp.shared_expert.down_proj", shared),
        ]);
        layout
            .whole
            .extend(["mlp.gate.", "mlp.shared_expert_gate."]);
        layout.experts = Some(ExpertsUse {
            names: ["mlp.switch_mlp.", "mlp.experts."],
            count: self.num_experts,
            each: self.num_experts_per_tok.unwrap_or(0),
        });
    }
}
