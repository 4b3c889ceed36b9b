//! `llama4`: Llama 4 Scout and Maverick without their eyes; and `llama4_text`: the dense MobileLLM-R1. Every fourth layer does
//! not rotate and sees all; in the large ones the others see their own chunk of positions, late queries of the fourth are
//! scaled, and each token goes through one expert, of what it sees weighed, and a shared one.
//!
//! Numerics follow mlx-lm's `llama4.py`, and its `llama4_text.py` for what has no experts.

use serde::Deserialize;
use serde_json::Value;

use crate::decoder::{Architecture, Core, ExpertsUse, Layout};
use crate::error::LoadError;
use crate::layers::{
    Block, BlockParts, Experts, ExpertsShape, GroupedAttention, GroupedShape, Mlp, MlpShape,
    QueryKeyNorms, Reach, Rope, Router, Routing, Score, SharedExpert, Temperature, Weighed,
};
use crate::load::{Config, Exceptions};

/// The norms of queries and keys where there are experts, whatever the configuration says.
const QUERY_KEY_EPS: f32 = 1e-6;
/// How late queries are scaled, where it is not said.
const FLOOR_SCALE_USUAL: f32 = 8192.0;
const ATTENTION_SCALE_USUAL: f32 = 0.1;

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Llama4 {
    #[serde(flatten)]
    core: Core,
    /// Of layers without experts; of one expert it is `intermediate_size`.
    intermediate_size_mlp: i32,
    num_local_experts: Option<i32>,
    num_experts_per_tok: Option<i32>,
    /// Every so many layers there are experts.
    interleave_moe_layer_step: Option<u32>,
    attention_chunk_size: Option<i32>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    use_qk_norm: bool,
    /// For each layer 1 if it rotates, and 0 if not.
    no_rope_layers: Option<Vec<u32>>,
    /// A truth value, or a number that is one.
    #[serde(default)]
    attn_temperature_tuning: Value,
    floor_scale: Option<f32>,
    attn_scale: Option<f32>,
}

impl Llama4 {
    /// How many there are, if there are any.
    fn experts(&self) -> Option<i32> {
        self.num_local_experts.filter(|count| *count != 0)
    }

    fn has_experts(&self, layer: u32) -> bool {
        let every = self.interleave_moe_layer_step.unwrap_or(1).max(1);
        self.experts().is_some() && (layer + 1).is_multiple_of(every)
    }

    fn rotates(&self, layer: u32) -> bool {
        let said = self.no_rope_layers.as_ref();
        let said = said.and_then(|layers| layers.get(layer as usize));
        said.map_or(!(layer + 1).is_multiple_of(4), |said| *said != 0)
    }

    fn norms(&self, rotates: bool) -> QueryKeyNorms {
        let eps = match (self.use_qk_norm, self.experts()) {
            (true, None) => self.core.rms_norm_eps,
            (true, Some(_)) if rotates => QUERY_KEY_EPS,
            _ => return QueryKeyNorms::None,
        };
        QueryKeyNorms::Bare { eps }
    }

    /// Of layers that do not rotate.
    fn temperature(&self) -> Option<Temperature> {
        let off = [Value::Bool(false), Value::from(0)].contains(&self.attn_temperature_tuning);
        self.experts().filter(|_| !off).map(|_| Temperature {
            strength: self.attn_scale.unwrap_or(ATTENTION_SCALE_USUAL),
            every: self.floor_scale.unwrap_or(FLOOR_SCALE_USUAL),
            first: 1,
        })
    }

    fn attention(&self, layer: u32) -> GroupedShape {
        let rotates = self.rotates(layer);
        GroupedShape {
            bias: self.attention_bias,
            output_bias: self.attention_bias,
            norms: self.norms(rotates),
            rope: rotates.then_some(0),
            reach: self.reach(layer),
            temperature: self.temperature().filter(|_| !rotates),
            ..self.core.attention()
        }
    }

    fn mixture(&self, parts: &mut BlockParts<'_, '_>, count: i32) -> Result<Experts, LoadError> {
        let gate = parts.whole("feed_forward.router", [count, parts.hidden], false)?;
        let routing = Routing {
            score: Score::Sigmoid,
            ..Routing::softmax(1, false)
        };
        let shared = MlpShape {
            name: "feed_forward.shared_expert",
            ..MlpShape::silu(self.core.intermediate_size)
        };
        let shared = SharedExpert {
            mlp: Mlp::load(parts, &shared)?,
            gate: None,
        };
        let experts = "feed_forward.experts";
        let shape = ExpertsShape {
            weighed: Weighed::Input,
            turned: true,
            ..ExpertsShape::silu(experts, experts, count, self.core.intermediate_size)
        };
        Experts::load(parts, &shape, Router::new(gate, routing)?, Some(shared))
    }
}

impl Architecture for Llama4 {
    fn core(&self) -> &Core {
        &self.core
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        file.check_sizes(&[
            ("intermediate_size_mlp", self.intermediate_size_mlp),
            ("num_local_experts", self.experts().unwrap_or(1)),
            (
                "attention_chunk_size",
                self.attention_chunk_size.unwrap_or(1),
            ),
        ])?;
        let each = self.num_experts_per_tok.unwrap_or(1);
        if self.experts().is_some() && each != 1 {
            return Err(LoadError::Unsupported(format!(
                "num_experts_per_tok {each} is not supported (hint: 1 is)"
            )));
        }
        match self.temperature() {
            Some(temperature) => temperature.check(file),
            None => Ok(()),
        }
    }

    fn ropes(&self) -> Result<Vec<Rope>, LoadError> {
        let mut config = self.core.rope.clone();
        config.rope_traditional = true;
        Ok(vec![Rope::new(&config, self.core.head_dim())?])
    }

    fn reach(&self, layer: u32) -> Reach {
        let chunk = self.attention_chunk_size;
        let chunk = chunk.filter(|_| self.rotates(layer) && self.experts().is_some());
        chunk.map_or(Reach::All, Reach::Chunk)
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let attention = self.attention(parts.layer);
        let attention = GroupedAttention::load(parts, "self_attn", &attention)?;
        if let Some(count) = self.experts().filter(|_| self.has_experts(parts.layer)) {
            let experts = self.mixture(parts, count)?;
            return Block::usual(parts, attention, experts);
        }
        let mlp = MlpShape {
            name: "feed_forward",
            ..MlpShape::silu(self.intermediate_size_mlp)
        };
        let mlp = Mlp::load(parts, &mlp)?;
        Block::usual(parts, attention, mlp)
    }

    fn exceptions(&self) -> Exceptions {
        Exceptions {
            turned: vec!["experts.gate_up_proj", "experts.down_proj"],
            ..Exceptions::default()
        }
    }

    fn layout(&self) -> Layout {
        let inner = self.core.intermediate_size;
        let mut layout = self.core.layout();
        layout.divided.push(self.intermediate_size_mlp);
        layout.by_columns = vec![
            ("self_attn.o_proj", self.core.attention_width()),
            ("feed_forward.down_proj", self.intermediate_size_mlp),
            ("feed_forward.experts.down_proj", inner),
            ("feed_forward.shared_expert.down_proj", inner),
        ];
        layout.whole.push("feed_forward.router.");
        layout.experts = self.experts().map(|count| ExpertsUse {
            names: ["feed_forward.experts."; 2],
            count,
            each: 1,
        });
        layout
    }
}
