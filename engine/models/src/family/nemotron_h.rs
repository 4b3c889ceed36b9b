//! `nemotron_h`: Nemotron-H, Nemotron Nano 2 and 3. Each layer is one part: Mamba-2, attention without positions, a
//! feed-forward part or experts, as a pattern says.
//!
//! Architecture: Nemotron-H 2025 (arXiv 2504.03624); numerics follow mlx-lm's `nemotron_h.py`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::decoder::{Architecture, Core, ExpertsUse, Layout};
use crate::error::LoadError;
use crate::layers::{
    Activation, Block, BlockParts, Experts, ExpertsShape, GroupedAttention, GroupedShape,
    LatentExperts, Mamba, MambaShape, Memory, Mlp, MlpShape, NormKind, RmsNorm, Router, Routing,
    Score, SharedExpert, Unmixed,
};
use crate::load::{Config, Exceptions, Weights};

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct NemotronH {
    #[serde(flatten)]
    core: Core,
    layer_norm_epsilon: f32,
    #[serde(flatten)]
    kinds: Kinds,
    #[serde(default)]
    attention_bias: bool,
    #[serde(flatten)]
    recurrent: Recurrent,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(flatten)]
    experts: Chosen,
}

/// The fields about Mamba-2.
#[derive(Debug, Clone, Deserialize)]
struct Recurrent {
    mamba_num_heads: i32,
    mamba_head_dim: i32,
    #[serde(default)]
    mamba_proj_bias: bool,
    ssm_state_size: i32,
    conv_kernel: i32,
    n_groups: i32,
    use_conv_bias: bool,
    time_step_limit: Option<[Option<f32>; 2]>,
}

/// What each layer is, in one of the forms that there are.
#[derive(Debug, Clone, Deserialize)]
struct Kinds {
    hybrid_override_pattern: Option<Letters>,
    layers_block_type: Option<Vec<String>>,
    layer_types: Option<Vec<String>>,
}

/// A letter for each layer.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Letters {
    Together(String),
    Apart(Vec<String>),
}

/// What a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mamba,
    Attention,
    Mlp,
    Experts,
}

/// The fields about experts.
#[derive(Debug, Clone, Deserialize)]
struct Chosen {
    n_routed_experts: Option<i32>,
    n_shared_experts: Option<i32>,
    num_experts_per_tok: Option<i32>,
    moe_intermediate_size: Option<i32>,
    moe_shared_expert_intermediate_size: Option<i32>,
    moe_latent_size: Option<i32>,
    n_group: Option<i32>,
    topk_group: Option<i32>,
    norm_topk_prob: Option<bool>,
    routed_scaling_factor: Option<f32>,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        match name {
            "M" | "mamba" | "linear_attention" | "conv" => Some(Self::Mamba),
            "*" | "attention" | "full_attention" => Some(Self::Attention),
            "-" | "mlp" => Some(Self::Mlp),
            "E" | "moe" => Some(Self::Experts),
            _ => None,
        }
    }
}

impl Kinds {
    /// How many layers it speaks of.
    fn count(&self) -> usize {
        match &self.hybrid_override_pattern {
            Some(Letters::Together(all)) => all.chars().count(),
            Some(Letters::Apart(each)) => each.len(),
            None => self.named().map_or(0, Vec::len),
        }
    }

    fn named(&self) -> Option<&Vec<String>> {
        self.layers_block_type
            .as_ref()
            .or(self.layer_types.as_ref())
    }

    /// What a layer is, if that is known.
    fn kind(&self, layer: u32) -> Option<Kind> {
        let at = layer as usize;
        match &self.hybrid_override_pattern {
            Some(Letters::Together(all)) => {
                Kind::named(all.chars().nth(at)?.encode_utf8(&mut [0; 4]))
            }
            Some(Letters::Apart(each)) => Kind::named(each.get(at)?),
            None => Kind::named(self.named()?.get(at)?),
        }
    }
}

impl Chosen {
    fn count(&self) -> i32 {
        self.n_routed_experts.unwrap_or(0)
    }

    fn each(&self) -> i32 {
        self.num_experts_per_tok.unwrap_or(0)
    }

    fn inner(&self) -> i32 {
        self.moe_intermediate_size.unwrap_or(0)
    }

    /// Columns of what all tokens go through, if there is such a part.
    fn shared_inner(&self) -> Option<i32> {
        self.n_shared_experts?;
        Some(self.moe_shared_expert_intermediate_size.unwrap_or(0))
    }

    fn groups(&self) -> [i32; 2] {
        let groups = self.n_group.unwrap_or(1);
        [groups, self.topk_group.unwrap_or(groups)]
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        let [groups, best] = self.groups();
        file.check_sizes(&[
            ("n_routed_experts", self.count()),
            ("num_experts_per_tok", self.each()),
            ("moe_intermediate_size", self.inner()),
            (
                "moe_shared_expert_intermediate_size",
                self.shared_inner().unwrap_or(1),
            ),
            ("moe_latent_size", self.moe_latent_size.unwrap_or(1)),
            ("n_group", groups),
            ("topk_group", best),
        ])?;
        let open = self.count() / groups * best.min(groups);
        if self.count() % groups != 0 || self.each() > open {
            return Err(file.problem("the groups of experts are too small for num_experts_per_tok"));
        }
        Ok(())
    }

    fn block(
        &self,
        parts: &mut BlockParts<'_, '_>,
        norm: RmsNorm,
        bias: bool,
    ) -> Result<Block, LoadError> {
        let gate = parts.whole("mixer.gate", [self.count(), parts.hidden], false)?;
        let correction = parts.path("mixer.gate.e_score_correction_bias");
        let routing = Routing {
            each: self.each(),
            score: Score::Sigmoid,
            correction: Some(parts.weights.take(&correction, &[self.count()], None)?),
            groups: Some(self.groups()),
            wide: false,
            normalize: self.each() > 1 && self.norm_topk_prob.unwrap_or(false),
            scale: self.routed_scaling_factor.unwrap_or(1.0),
            scales: None,
        };
        let shared = match self.shared_inner() {
            Some(inner) => Some(SharedExpert {
                mlp: Mlp::load(parts, &squared("mixer.shared_experts", inner, bias))?,
                gate: None,
            }),
            None => None,
        };
        let (stacked, single) = ("mixer.switch_mlp", "mixer.experts");
        let shape = ExpertsShape {
            activation: Activation::SquaredRelu,
            ..ExpertsShape::silu(stacked, single, self.count(), self.inner())
        };
        let router = Router::new(gate, routing)?;
        let Some(latent) = self.moe_latent_size else {
            let experts = Experts::load(parts, &shape, router, shared)?;
            return Ok(Block::single(norm, Unmixed(experts)));
        };
        let names = ["mixer.fc1_latent_proj", "mixer.fc2_latent_proj"];
        let experts = LatentExperts::load(parts, (&shape, latent), names, bias, router, shared)?;
        Ok(Block::single(norm, Unmixed(experts)))
    }
}

/// A feed-forward part without a gate.
fn squared(name: &str, inner: i32, bias: bool) -> MlpShape<'_> {
    MlpShape {
        name,
        bias,
        activation: Activation::SquaredRelu,
        ..MlpShape::silu(inner)
    }
}

impl NemotronH {
    fn kind(&self, layer: u32) -> Option<Kind> {
        self.kinds.kind(layer)
    }

    fn has(&self, kind: Kind) -> bool {
        let layers = 0..self.core.num_hidden_layers as u32;
        { layers }.any(|layer| self.kind(layer) == Some(kind))
    }

    fn mamba(&self) -> MambaShape {
        let fields = &self.recurrent;
        MambaShape {
            heads: fields.mamba_num_heads,
            groups: fields.n_groups,
            head_dim: fields.mamba_head_dim,
            key_dim: fields.ssm_state_size,
            kernel: fields.conv_kernel,
            conv_bias: fields.use_conv_bias,
            bias: fields.mamba_proj_bias,
            eps: self.layer_norm_epsilon,
            time: fields.time_step_limit.unwrap_or([Some(0.0), None]),
        }
    }

    fn check_mamba(&self, file: &Config) -> Result<(), LoadError> {
        let mamba = self.mamba();
        let times = |a: i32, b: i32| a.checked_mul(b).unwrap_or(0);
        let width = times(mamba.heads, mamba.head_dim);
        let keys = times(mamba.groups, mamba.key_dim);
        let inputs = keys.saturating_mul(2).saturating_add(width);
        file.check_sizes(&[
            ("mamba_num_heads", mamba.heads),
            ("mamba_head_dim", mamba.head_dim),
            ("mamba_head_dim of all heads", width),
            ("n_groups", mamba.groups),
            ("ssm_state_size", mamba.key_dim),
            ("ssm_state_size of all groups", keys),
            ("elements of a state", times(width, mamba.key_dim)),
            // It sees at least one token before each.
            ("conv_kernel - 1", mamba.kernel.saturating_sub(1)),
            ("inputs of the convolution", times(inputs, mamba.kernel)),
        ])?;
        if mamba.heads % mamba.groups != 0 {
            return Err(file.problem("mamba_num_heads is no multiple of n_groups"));
        }
        Ok(())
    }

    fn lay_out_experts(&self, layout: &mut Layout) {
        let (inner, shared) = (self.experts.inner(), self.experts.shared_inner());
        layout.divided.push(inner);
        layout.divided.extend(shared);
        if self.experts.moe_latent_size.is_some() && self.mlp_bias {
            // Each rank would add the bias of the matrix after the experts.
            layout.divided.push(1);
        }
        layout.by_columns.push(("mixer.switch_mlp.fc2", inner));
        let shared = shared.map(|shared| ("mixer.shared_experts.down_proj", shared));
        layout.by_columns.extend(shared);
        layout.experts = Some(ExpertsUse {
            names: ["mixer.switch_mlp.", "mixer.experts."],
            count: self.experts.count(),
            each: self.experts.each(),
        });
    }
}

impl Architecture for NemotronH {
    fn core(&self) -> &Core {
        &self.core
    }

    fn defaults() -> Value {
        // Its norms have their own name for it.
        json!({"rms_norm_eps": 0.0})
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        let layers = self.core.num_hidden_layers as u32;
        let known = (0..layers).all(|layer| self.kind(layer).is_some());
        if !known || self.kinds.count() != layers as usize {
            return Err(file.problem("does not say of all layers what they are"));
        }
        self.check_mamba(file)?;
        if self.has(Kind::Experts) {
            self.experts.check(file)?;
        }
        Ok(())
    }

    fn memory(&self, layer: u32) -> Memory {
        match self.kind(layer) {
            Some(Kind::Mamba) => Memory::State,
            Some(Kind::Attention) => Memory::Positions,
            Some(Kind::Mlp | Kind::Experts) | None => Memory::Nothing,
        }
    }

    fn state_bytes(&self, layer: u32, element_bytes: u64) -> u64 {
        match self.memory(layer) {
            Memory::State => self.mamba().state_bytes(element_bytes),
            Memory::Positions | Memory::Window(_) | Memory::Nothing => 0,
        }
    }

    fn norms(&self, _weights: &Weights<'_>) -> NormKind {
        NormKind {
            eps: self.layer_norm_epsilon,
            offset: 0.0,
        }
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let norm = parts.norm("norm")?;
        match self.kind(parts.layer) {
            Some(Kind::Mamba) => {
                let mamba = Mamba::load(parts, "mixer", self.mamba())?;
                Ok(Block::single(norm, mamba))
            }
            Some(Kind::Attention) | None => {
                let attention = GroupedShape {
                    bias: self.attention_bias,
                    output_bias: self.attention_bias,
                    rope: None,
                    ..self.core.attention()
                };
                let attention = GroupedAttention::load(parts, "mixer", &attention)?;
                Ok(Block::single(norm, attention))
            }
            Some(Kind::Mlp) => {
                let inner = self.core.intermediate_size;
                let mlp = Mlp::load(parts, &squared("mixer", inner, self.mlp_bias))?;
                Ok(Block::single(norm, Unmixed(mlp)))
            }
            Some(Kind::Experts) => self.experts.block(parts, norm, self.mlp_bias),
        }
    }

    fn exceptions(&self) -> Exceptions {
        Exceptions {
            dense: vec!["mixer.gate"],
            ..Exceptions::default()
        }
    }

    fn layout(&self) -> Layout {
        let (core, inner) = (&self.core, self.core.intermediate_size);
        let mut layout = Layout {
            divided: vec![
                core.num_attention_heads,
                core.kv_heads(),
                self.mamba().groups,
            ],
            by_columns: vec![
                ("mixer.o_proj", core.attention_width()),
                ("mixer.out_proj", self.mamba().width()),
            ],
            whole: vec![
                "norm.",
                "mixer.gate.",
                "mixer.fc1_latent_proj.",
                "mixer.fc2_latent_proj.",
            ],
            experts: None,
        };
        if self.has(Kind::Mlp) {
            layout.divided.push(inner);
            layout.by_columns.push(("mixer.down_proj", inner));
        }
        if self.has(Kind::Experts) {
            self.lay_out_experts(&mut layout);
        }
        layout
    }
}
