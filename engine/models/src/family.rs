//! The families this build knows, and what they have in common: how to make a card and how to load a shard.

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use base::{LayerCost, ModelCard, ShardSpec};
use mlx_rs::error::Exception;
use mlx_rs::{Array, Dtype};

use crate::distributed::Group;
use crate::error::LoadError;
use crate::layers::{Ends, StepCaches};
use crate::load::{Config, Folder, Weights};
use crate::{llama, qwen3};

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
    /// Sizes that the backend needs.
    fn dimensions(&self) -> Dimensions;
}

/// Sizes of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dimensions {
    pub(crate) hidden: i32,
    pub(crate) vocabulary: i32,
    /// Type of activations.
    pub(crate) dtype: Dtype,
}

/// Loads a shard of a family.
type LoadFunction =
    fn(&mut Weights<'_>, &ShardSpec, Rc<Group>) -> Result<Box<dyn CausalModel>, LoadError>;

/// What a family's file gives.
struct Family {
    /// `model_type` in `config.json`.
    model_type: &'static str,
    card: fn(&Folder) -> Result<ModelCard, LoadError>,
    load: LoadFunction,
}

/// One line for each family.
const FAMILIES: [Family; 2] = [
    Family {
        model_type: "llama",
        card: llama::card,
        load: llama::load,
    },
    Family {
        model_type: "qwen3",
        card: qwen3::card,
        load: qwen3::load,
    },
];

/// The values of `model_type` that this build can run.
pub fn supported() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.model_type)
}

/// What the planner needs to know of the model in `folder`. Reads headers only and does not start MLX.
pub fn inspect(folder: &Path) -> Result<ModelCard, LoadError> {
    let folder = Folder::open(folder)?;
    (of(&folder)?.card)(&folder)
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

/// Bytes of weights that this rank reads.
pub(crate) fn shard_bytes(folder: &Folder, spec: &ShardSpec) -> Result<u64, LoadError> {
    let card = (of(folder)?.card)(folder)?;
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
    let model_type = folder.config.model_type()?;
    FAMILIES
        .iter()
        .find(|family| family.model_type == model_type)
        .ok_or_else(|| {
            let known: Vec<&str> = supported().collect();
            LoadError::Unsupported(format!(
                "model_type {model_type} is not supported (supported: {})",
                known.join(", ")
            ))
        })
}

/// What of a card a family knows and a folder does not say.
pub(crate) struct CardFacts {
    pub(crate) layers: i32,
    pub(crate) hidden: i32,
    pub(crate) vocabulary: i32,
    pub(crate) context_tokens_max: u32,
    pub(crate) tied: bool,
    /// Elements of keys and values together, for one token and layer.
    pub(crate) cache_elements: i32,
    /// Elements of a layer that every tensor rank holds whole.
    pub(crate) replicated_elements: i32,
    pub(crate) tensor_degrees: Vec<u32>,
}

/// The card of a model whose weights have the usual names. Every layer's own tensors must be there.
pub(crate) fn usual_card(folder: &Folder, facts: &CardFacts) -> Result<ModelCard, LoadError> {
    const NORM: &str = "model.norm.weight";
    let (_, norm) = folder.tensor(NORM)?;
    let element_bytes = norm.element(NORM)?.bytes();
    let mut layers = Vec::new();
    for layer in 0..facts.layers {
        let weights_bytes = folder.bytes_under(&format!("model.layers.{layer}."));
        if weights_bytes == 0 {
            return Err(folder.config.problem(&format!(
                "says {} layers, but layer {layer} is in no file",
                facts.layers
            )));
        }
        layers.push(LayerCost {
            weights_bytes,
            active_bytes: weights_bytes,
            replicated_bytes: facts.replicated_elements as u64 * element_bytes,
            cache_bytes_per_token: facts.cache_elements as u64 * element_bytes,
        });
    }
    let embedding_bytes = folder.bytes_under("model.embed_tokens.");
    let head = if facts.tied {
        embedding_bytes
    } else {
        folder.bytes_under("lm_head.")
    };
    Ok(ModelCard {
        model_type: folder.config.model_type()?.to_string(),
        layers,
        embedding_bytes,
        head_bytes: head + norm.bytes,
        tied: facts.tied,
        context_tokens_max: facts.context_tokens_max,
        vocabulary_size: facts.vocabulary as u32,
        hidden_size: facts.hidden as u32,
        activation_bytes: element_bytes as u32,
        tensor_degrees: facts.tensor_degrees.clone(),
    })
}

/// The tensor splits of a model cut by `sizes` (heads, columns), whose second matrices of a pair, `cut` with their
/// columns, are cut along what quantization groups.
pub(crate) fn usual_tensor_degrees(
    file: &Config,
    sizes: &[i32],
    cut: &[(&str, i32)],
) -> Result<Vec<u32>, LoadError> {
    let mut sizes = sizes.to_vec();
    for (path, columns) in cut {
        if let Some(how) = file.quantization(path)? {
            sizes.push(columns / how.group_size);
        }
    }
    Ok(common_degrees(&sizes))
}

/// The numbers of ranks by which all of `sizes` divide.
fn common_degrees(sizes: &[i32]) -> Vec<u32> {
    let largest = sizes.iter().copied().min().unwrap_or(1).max(1);
    (1..=largest)
        .filter(|degree| sizes.iter().all(|size| size % degree == 0))
        .map(|degree| degree as u32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_divide_everything() {
        assert_eq!(common_degrees(&[12, 6, 528]), [1, 2, 3, 6]);
        assert_eq!(common_degrees(&[8, 2, 1000]), [1, 2]);
    }
}
