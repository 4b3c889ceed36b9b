//! `gemma4_text`: Gemma 4 without its eyes and ears. Every few layers one sees all, with wider heads, perhaps values that its
//! keys' matrix makes, and a rope that turns a part of each head; the others see a window. In the mixture, experts stand
//! beside a dense part. In the small ones each layer has an input of its own, and the last layers attend to keys and values of
//! the last layer of their kind before them.
//!
//! Numerics follow mlx-lm's `gemma4_text.py`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::gemma4_experts::Gemma4Experts;
use crate::decoder::{Architecture, Core, Layout};
use crate::error::LoadError;
use crate::layers::{
    Activation, Block, BlockParts, FeedForward, GroupedAttention, GroupedShape, LayerInputGate,
    LayerInputsShape, Mixer, Mlp, MlpShape, QueryKeyNorms, Reach, Residual, Rope, RopeConfig,
    RopeScaling, SharedAttention, Values,
};
use crate::load::{Config, Exceptions};

/// The ropes of layers that see all, and of those that see a window.
const WIDE_ROPE: usize = 0;
const WINDOW_ROPE: usize = 1;

/// Its fields of `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Gemma4Text {
    #[serde(flatten)]
    core: Core,
    #[serde(flatten)]
    experts: Gemma4Experts,
    global_head_dim: Option<i32>,
    num_global_key_value_heads: Option<i32>,
    attention_k_eq_v: bool,
    sliding_window: i32,
    sliding_window_pattern: u32,
    layer_types: Option<Vec<String>>,
    rope_parameters: Ropes,
    final_logit_softcapping: Option<f32>,
    /// 0 or nothing if layers have no inputs of their own.
    hidden_size_per_layer_input: Option<i32>,
    vocab_size_per_layer_input: Option<i32>,
    /// Of the last so many layers.
    num_kv_shared_layers: Option<i32>,
    /// Whether feed-forward parts of those are twice as wide.
    use_double_wide_mlp: bool,
}

/// A rope for each kind of layer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Ropes {
    full_attention: RopeScaling,
    sliding_attention: RopeScaling,
}

impl Gemma4Text {
    fn slides(&self, layer: u32) -> bool {
        let kinds = self.layer_types.as_ref();
        let kind = kinds.and_then(|kinds| kinds.get(layer as usize));
        let every = self.sliding_window_pattern.max(1);
        kind.map_or(!(layer + 1).is_multiple_of(every), |kind| {
            kind == "sliding_attention"
        })
    }

    /// Of layers that see all.
    fn wide_head_dim(&self) -> i32 {
        let own = self.global_head_dim.filter(|own| *own != 0);
        own.unwrap_or(self.core.head_dim())
    }

    fn wide_kv_heads(&self) -> i32 {
        let own = self.num_global_key_value_heads;
        own.filter(|_| self.attention_k_eq_v)
            .unwrap_or(self.core.kv_heads())
    }

    /// The first layer that has no keys of its own.
    fn shared_from(&self) -> u32 {
        let shared = self.num_kv_shared_layers.unwrap_or(0).max(0);
        self.core.num_hidden_layers.saturating_sub(shared).max(0) as u32
    }

    /// The last layer of a kind that has; `None` if there is none.
    fn last_with_keys(&self, slides: bool) -> Option<u32> {
        let with_keys = 0..self.shared_from();
        with_keys.rev().find(|one| self.slides(*one) == slides)
    }

    /// Elements of all layers' own inputs.
    fn inputs(&self) -> i32 {
        let of_layers = self.layer_inputs();
        of_layers.map_or(0, |inputs| inputs.all())
    }

    /// Where keys and values of layers that see all, or a window, go beside the hidden state.
    fn keys_column(&self, slides: bool) -> i32 {
        let wide = 2 * self.wide_kv_heads() * self.wide_head_dim();
        self.inputs() + if slides { wide } else { 0 }
    }

    fn inner(&self, layer: u32) -> i32 {
        let doubled = self.use_double_wide_mlp && layer >= self.shared_from();
        self.core.intermediate_size * if doubled { 2 } else { 1 }
    }

    fn attention(&self, layer: u32) -> GroupedShape {
        let slides = self.slides(layer);
        let shares = self.shared_from() < self.core.num_hidden_layers as u32;
        let handed_on = shares && self.last_with_keys(slides) == Some(layer);
        let common = GroupedShape {
            norms: QueryKeyNorms::Heads,
            scale: Some(1.0),
            hands_on: handed_on.then(|| self.keys_column(slides)),
            ..self.core.attention()
        };
        if slides {
            return GroupedShape {
                values: Values::Normed,
                rope: Some(WINDOW_ROPE),
                reach: self.reach(layer),
                ..common
            };
        }
        GroupedShape {
            kv_heads: self.wide_kv_heads(),
            head_dim: self.wide_head_dim(),
            values: if self.attention_k_eq_v {
                Values::OfKeys
            } else {
                Values::Normed
            },
            rope: Some(WIDE_ROPE),
            ..common
        }
    }

    fn check_inputs(&self, file: &Config) -> Result<(), LoadError> {
        let Some(width) = self.hidden_size_per_layer_input.filter(|width| *width != 0) else {
            return Ok(());
        };
        let layers = self.core.num_hidden_layers;
        let vocabulary = self.vocab_size_per_layer_input.unwrap_or(0);
        file.check_sizes(&[
            ("hidden_size_per_layer_input", width),
            (
                "hidden_size_per_layer_input of all layers",
                width.checked_mul(layers).unwrap_or(0),
            ),
            ("vocab_size_per_layer_input", vocabulary),
        ])?;
        if vocabulary < self.core.vocab_size {
            return Err(file.problem("vocab_size_per_layer_input is less than vocab_size"));
        }
        Ok(())
    }
}

impl Architecture for Gemma4Text {
    fn core(&self) -> &Core {
        &self.core
    }

    fn defaults() -> Value {
        json!({
            "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256, "global_head_dim": 512,
            "rms_norm_eps": 1e-6, "vocab_size": 262_144, "max_position_embeddings": 131_072,
            "tie_word_embeddings": true, "attention_k_eq_v": false, "sliding_window": 512,
            "sliding_window_pattern": 5, "final_logit_softcapping": 30.0, "hidden_size_per_layer_input": 256,
            "vocab_size_per_layer_input": 262_144, "num_kv_shared_layers": 20, "use_double_wide_mlp": true,
            "enable_moe_block": false,
            "rope_parameters": {
                "full_attention":
                    {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        })
    }

    fn check(&self, file: &Config) -> Result<(), LoadError> {
        let heads = self.core.num_attention_heads;
        let width = self.wide_head_dim().checked_mul(heads);
        file.check_sizes(&[
            ("sliding_window", self.sliding_window),
            ("global_head_dim", self.wide_head_dim()),
            ("global_head_dim of all heads", width.unwrap_or(0)),
            ("num_global_key_value_heads", self.wide_kv_heads()),
        ])?;
        if heads % self.wide_kv_heads() != 0 {
            let problem = "num_attention_heads is no multiple of num_global_key_value_heads";
            return Err(file.problem(problem));
        }
        self.check_inputs(file)?;
        for slides in [false, true] {
            let mut shared = self.shared_from()..self.core.num_hidden_layers as u32;
            let some = shared.any(|layer| self.slides(layer) == slides);
            if some && self.last_with_keys(slides).is_none() {
                return Err(file.problem("num_kv_shared_layers leaves no layer to share those of"));
            }
        }
        self.experts.check(file)
    }

    fn ropes(&self) -> Result<Vec<Rope>, LoadError> {
        let wide = RopeConfig::of(self.rope_parameters.full_attention.clone());
        let window = RopeConfig::of(self.rope_parameters.sliding_attention.clone());
        Ok(vec![
            Rope::new(&wide, self.wide_head_dim())?,
            Rope::new(&window, self.core.head_dim())?,
        ])
    }

    fn reach(&self, layer: u32) -> Reach {
        Reach::within(self.slides(layer).then_some(self.sliding_window))
    }

    fn block(&self, parts: &mut BlockParts<'_, '_>) -> Result<Block, LoadError> {
        let shape = self.attention(parts.layer);
        let attention: Box<dyn Mixer> = if parts.layer < self.shared_from() {
            Box::new(GroupedAttention::load(parts, "self_attn", &shape)?)
        } else {
            let column = self.keys_column(self.slides(parts.layer));
            Box::new(SharedAttention::load(parts, "self_attn", &shape, column)?)
        };
        let mixer = Residual::with_after(
            Some(parts.norm("input_layernorm")?),
            attention,
            parts.norm("post_attention_layernorm")?,
        );
        let mlp = MlpShape {
            activation: Activation::GeluTanh,
            ..MlpShape::silu(self.inner(parts.layer))
        };
        let mlp = Mlp::load(parts, &mlp)?;
        let feed_forward: Residual<Box<dyn FeedForward>> = if self.experts.are_there() {
            self.experts.beside(parts, mlp)?
        } else {
            Residual::with_after(
                Some(parts.norm("pre_feedforward_layernorm")?),
                Box::new(mlp),
                parts.norm("post_feedforward_layernorm")?,
            )
        };
        let gate = self.layer_inputs();
        let gate = gate.map(|inputs| LayerInputGate::load(parts, inputs.width));
        let scale = parts.path("layer_scalar");
        Ok(Block {
            mixer,
            feed_forward: Some(feed_forward),
            gate: gate.transpose()?,
            scale: Some(parts.weights.take(&scale, &[1], None)?),
        })
    }

    fn exceptions(&self) -> Exceptions {
        Exceptions {
            eight_bits: vec!["router.proj"],
            ..Exceptions::default()
        }
    }

    fn layout(&self) -> Layout {
        let mut layout = self.core.layout();
        layout.divided.push(self.wide_kv_heads());
        let wide = self.core.num_attention_heads * self.wide_head_dim();
        layout.by_columns.push(("self_attn.o_proj", wide));
        layout.whole.extend([
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
            "layer_scalar",
            "per_layer_",
            "post_per_layer_input_norm.",
        ]);
        let inner = self.inner(self.core.num_hidden_layers as u32 - 1);
        layout.by_columns.push(("mlp.down_proj", inner));
        self.experts.lay_out(&mut layout);
        layout
    }

    fn cache_elements(&self, layer: u32) -> i32 {
        if layer >= self.shared_from() {
            return 0;
        }
        2 * self.attention(layer).kv_width()
    }

    fn cached_head_dim(&self, layer: u32) -> i32 {
        self.attention(layer).head_dim
    }

    fn layer_inputs(&self) -> Option<LayerInputsShape> {
        let width = self.hidden_size_per_layer_input;
        width
            .filter(|width| *width != 0)
            .map(|width| LayerInputsShape {
                vocabulary: self.vocab_size_per_layer_input.unwrap_or(0),
                layers: self.core.num_hidden_layers,
                width,
            })
    }

    fn beside(&self) -> i32 {
        if self.shared_from() == self.core.num_hidden_layers as u32 {
            return self.inputs();
        }
        self.keys_column(true) + 2 * self.core.kv_heads() * self.core.head_dim()
    }

    fn keys_of(&self, layer: u32) -> u32 {
        if layer < self.shared_from() {
            return layer;
        }
        self.last_with_keys(self.slides(layer)).unwrap_or(layer)
    }

    fn end_scales(&self) -> [Option<f32>; 2] {
        let width = self.core.hidden_size as f32;
        [Some(width.sqrt()), None]
    }

    fn logit_cap(&self) -> Option<f32> {
        self.final_logit_softcapping
    }
}
