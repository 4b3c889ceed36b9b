//! The families this build knows: one line for each, and a file.

mod deepseek_experts;
mod deepseek_v3;
mod gemma3_text;
mod gemma4_experts;
mod gemma4_text;
mod glm4_moe;
mod gpt_oss;
mod granite;
mod llama;
mod llama4;
mod minimax;
mod nemotron_h;
mod olmo3;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod qwen3_next;
mod smollm3;

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use base::{CacheBits, LayerCost, ModelCard, QuantizedBits, ShardSpec};
use mlx_rs::error::Exception;
use mlx_rs::{Array, Dtype};

use crate::decoder::{self, Architecture};
use crate::distributed::Group;
use crate::error::LoadError;
use crate::layers::{Ends, Remembered, StepCaches};
use crate::load::{Folder, Weights};

/// An array, or why MLX refused.
pub(crate) type Computed = Result<Array, Exception>;

/// The shard of a causal language model on this rank.
pub(crate) trait CausalModel {
    /// The embedding, the final norm and the head, as far as this rank has them.
    fn ends(&self) -> &Ends;
    /// Some of this rank's layers, `[tokens, hidden]` to the same, arranged as `caches` want it.
    fn layers(&self, hidden: Array, caches: &mut StepCaches<'_>, which: Range<usize>) -> Computed;
    /// Number of layers on this rank.
    fn layer_count(&self) -> usize;
    /// What each of its caches holds: layers that attend to the same keys have one.
    fn remembered(&self) -> &[Remembered];
    /// Whether a layer of the model, on whatever rank, remembers a state.
    fn has_states(&self) -> bool;
    /// Sizes that the backend needs.
    fn dimensions(&self) -> Dimensions;
}

/// Sizes of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dimensions {
    /// Of what goes from layer to layer.
    pub(crate) hidden: i32,
    pub(crate) vocabulary: i32,
    /// Type of activations.
    pub(crate) dtype: Dtype,
}

/// Loads a shard of a family.
type LoadFunction =
    fn(&mut Weights<'_>, &ShardSpec, Rc<Group>) -> Result<Box<dyn CausalModel>, LoadError>;

/// Makes a family's card, with matrices and caches of so many bits.
type CardFunction =
    fn(&Folder, Option<QuantizedBits>, Option<CacheBits>) -> Result<ModelCard, LoadError>;

/// What a family's file gives.
struct Family {
    /// `model_type` in `config.json`.
    model_type: &'static str,
    card: CardFunction,
    load: LoadFunction,
}

/// Alphabetical. Of models of several senses it is the family of their part about text.
const FAMILIES: [Family; 36] = [
    family::<deepseek_v3::DeepseekV3>("deepseek_v3"),
    family::<deepseek_v3::DeepseekV3>("deepseek_v32"),
    family::<gemma3_text::Gemma3Text>("gemma3"),
    family::<gemma3_text::Gemma3Text>("gemma3_text"),
    family::<gemma4_text::Gemma4Text>("gemma4"),
    family::<gemma4_text::Gemma4Text>("gemma4_text"),
    family::<glm4_moe::Glm4Moe>("glm4_moe"),
    family::<deepseek_v3::DeepseekV3>("glm4_moe_lite"),
    family::<deepseek_v3::DeepseekV3>("glm_moe_dsa"),
    family::<gpt_oss::GptOss>("gpt_oss"),
    family::<granite::Granite>("granite"),
    family::<deepseek_v3::DeepseekV3>("kimi_k2"),
    family::<deepseek_v3::DeepseekV3>("kimi_k25"),
    family::<llama::Llama>("llama"),
    family::<llama4::Llama4>("llama4"),
    family::<llama4::Llama4>("llama4_text"),
    family::<minimax::MiniMax>("minimax"),
    family::<minimax::MiniMax>("minimax_m2"),
    family::<llama::Llama>("ministral3"),
    family::<llama::Llama>("mistral"),
    family::<llama::Llama>("mistral3"),
    family::<deepseek_v3::DeepseekV3>("mistral4"),
    family::<nemotron_h::NemotronH>("nemotron_h"),
    family::<olmo3::Olmo3>("olmo3"),
    family::<phi3::Phi3>("phi3"),
    family::<qwen2::Qwen2>("qwen2"),
    family::<qwen3::Qwen3>("qwen3"),
    family::<qwen3_next::Qwen3Next>("qwen3_5"),
    family::<qwen3_next::Qwen3Next>("qwen3_5_moe"),
    family::<qwen3_next::Qwen3Next>("qwen3_5_moe_text"),
    family::<qwen3_next::Qwen3Next>("qwen3_5_text"),
    family::<qwen3_moe::Qwen3Moe>("qwen3_moe"),
    family::<qwen3_next::Qwen3Next>("qwen3_next"),
    family::<llama::Llama>("seed_oss"),
    family::<smollm3::SmolLm3>("smollm3"),
    family::<llama::Llama>("xverse"),
];

/// Whose text is of whichever family it says.
const WRAPPER: &str = "mistral3";

const fn family<A: Architecture>(model_type: &'static str) -> Family {
    Family {
        model_type,
        card: decoder::card::<A>,
        load: decoder::load::<A>,
    }
}

/// The values of `model_type` that this build can run.
pub fn supported() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.model_type)
}

/// What the planner needs to know of the model in `folder`, if matrices that are not quantized are, to so many bits, as they
/// are loaded, and caches to so many. Reads headers only and does not start MLX.
pub fn inspect(
    folder: &Path,
    quantize: Option<QuantizedBits>,
    kv_bits: Option<CacheBits>,
) -> Result<ModelCard, LoadError> {
    card(&Folder::open(folder)?, quantize, kv_bits)
}

fn card(
    folder: &Folder,
    quantize: Option<QuantizedBits>,
    kv_bits: Option<CacheBits>,
) -> Result<ModelCard, LoadError> {
    let family = of(folder)?;
    let card = (family.card)(folder, quantize, kv_bits)?;
    if quantize.is_some() {
        let as_it_is = (family.card)(folder, None, kv_bits)?;
        if as_it_is.weights_bytes() == card.weights_bytes() {
            return Err(LoadError::Unsupported(
                "no matrix of this model can be quantized: they are quantized already or too narrow (hint: open it as it is)"
                    .into(),
            ));
        }
    }
    Ok(card)
}

/// Loads this rank's shard.
pub(crate) fn load_shard(
    folder: &Folder,
    spec: &ShardSpec,
    group: Rc<Group>,
    progress: &mut dyn FnMut(u64),
) -> Result<Box<dyn CausalModel>, LoadError> {
    (of(folder)?.load)(&mut Weights::new(folder, progress), spec, group)
}

/// Bytes of weights that this rank holds.
pub(crate) fn shard_bytes(folder: &Folder, spec: &ShardSpec) -> Result<u64, LoadError> {
    let card = card(folder, spec.quantize, spec.kv_bits)?;
    let held = card
        .layers
        .get(spec.layers.start as usize..spec.layers.end as usize)
        .unwrap_or_default();
    let of_layer = |layer: &LayerCost| {
        let divided = layer.weights_bytes - layer.replicated_bytes.min(layer.weights_bytes);
        divided / u64::from(spec.tensor.of.max(1)) + layer.replicated_bytes
    };
    let layers: u64 = held.iter().map(of_layer).sum();
    Ok(layers + card.ends_bytes(spec.layers.start == 0, spec.rank == 0))
}

fn of(folder: &Folder) -> Result<&'static Family, LoadError> {
    let whole = folder.config.model_type()?;
    let text = folder.config.text_type();
    let model_type = text.filter(|_| whole == WRAPPER).unwrap_or(whole);
    let found = FAMILIES
        .iter()
        .find(|family| family.model_type == model_type);
    found.ok_or_else(|| unknown(model_type))
}

/// Names those that are close: with the same beginning, then all.
fn unknown(model_type: &str) -> LoadError {
    let begin = |name: &str| {
        let end = name.find(|letter: char| !letter.is_ascii_alphabetic());
        name[..end.unwrap_or(name.len())].to_string()
    };
    let own = begin(model_type);
    let close: Vec<&str> = supported().filter(|name| begin(name) == own).collect();
    let close = if close.is_empty() || own.is_empty() {
        String::new()
    } else {
        format!("; close to it: {}", close.join(", "))
    };
    let known: Vec<&str> = supported().collect();
    LoadError::Unsupported(format!(
        "model_type {model_type} is not supported (supported: {}{close})",
        known.join(", ")
    ))
}
