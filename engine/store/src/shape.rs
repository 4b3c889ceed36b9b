//! What a model's configuration and the headers of its weights say of its shape. Nothing is decided by it.

use std::collections::BTreeMap;
use std::path::Path;

use base::{ModelShape, TensorInfo};
use serde::Deserialize;
use serde_json::Value;

use crate::folder::read_json_capped;
use crate::weights;

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
}

/// The shape of the model in a folder. What cannot be understood says nothing; loading the model will tell why.
pub fn shape(folder: &Path) -> ModelShape {
    let config = read_json_capped::<Value>(folder, "config.json");
    let config = config.ok().flatten().unwrap_or(Value::Null);
    // Models that see and hear have the numbers of their language model apart.
    let number = |name: &str| {
        let inner = || config["text_config"][name].as_u64();
        config[name].as_u64().or_else(inner)
    };
    let heads = number("num_attention_heads");
    ModelShape {
        parameters: parameters(&tensors(folder), bits(&config)),
        context_tokens: number("max_position_embeddings"),
        hidden_size: number("hidden_size"),
        layers: number("num_hidden_layers"),
        heads,
        key_value_heads: number("num_key_value_heads").or(heads),
        feed_forward_size: number("intermediate_size"),
        vocabulary_size: number("vocab_size"),
    }
}

/// The tensors of a model's weights, by name; none if the files cannot be read.
pub fn tensors(folder: &Path) -> Vec<TensorInfo> {
    let files = weights::read_all(folder).unwrap_or_default();
    let mut all: Vec<TensorInfo> = files
        .iter()
        .flat_map(|file| described(&file.header))
        .collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn described(header: &[u8]) -> Vec<TensorInfo> {
    let entries: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap_or_default();
    let tensors = entries.into_iter().filter_map(|(name, entry)| {
        let Tensor { dtype, shape } = serde_json::from_value(entry).ok()?;
        Some(TensorInfo {
            name,
            element: dtype,
            shape,
        })
    });
    tensors.collect()
}

/// Bits of a quantized weight.
fn bits(config: &Value) -> Option<u64> {
    let quantization = ["quantization", "quantization_config"];
    let mut bits = quantization
        .iter()
        .filter_map(|name| config[name]["bits"].as_u64());
    bits.find(|bits| (1..=32).contains(bits))
}

/// MLX packs quantized weights into words of 32 bits, with a scale and a bias for each group of them.
fn parameters(tensors: &[TensorInfo], bits: Option<u64>) -> Option<u64> {
    let count = |tensor: &TensorInfo| -> Option<u64> {
        let product = |product: u64, size: &u64| product.checked_mul(*size);
        let elements = tensor.shape.iter().try_fold(1, product)?;
        let group = tensor.name.ends_with(".scales") || tensor.name.ends_with(".biases");
        match bits {
            Some(_) if group => Some(0),
            Some(bits) if tensor.element == "U32" => elements.checked_mul(32).map(|all| all / bits),
            Some(_) | None => Some(elements),
        }
    };
    let sum = |sum: u64, tensor: &TensorInfo| sum.checked_add(count(tensor)?);
    let all = tensors.iter().try_fold(0, sum);
    all.filter(|all| *all > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::tests::write_model;

    fn tensor(name: &str, element: &str, shape: &[u64]) -> TensorInfo {
        TensorInfo {
            name: name.into(),
            element: element.into(),
            shape: shape.to_vec(),
        }
    }

    #[test]
    fn quantized_weights_count_as_they_were() {
        let norm = tensor("norm.weight", "BF16", &[64]);
        let quantized = [
            tensor("up.weight", "U32", &[128, 8]),
            tensor("up.scales", "BF16", &[128, 1]),
            tensor("up.biases", "BF16", &[128, 1]),
            norm.clone(),
        ];
        assert_eq!(parameters(&quantized, Some(4)), Some(128 * 64 + 64));
        let plain = [tensor("up.weight", "BF16", &[128, 64]), norm];
        assert_eq!(parameters(&plain, None), Some(128 * 64 + 64));
        assert_eq!(parameters(&[], None), None);
        let huge = [tensor("x", "F32", &[u64::MAX, 2])];
        assert_eq!(parameters(&huge, None), None);
    }

    #[test]
    fn what_the_files_do_not_say_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(shape(folder.path()), ModelShape::default());
        write_model(folder.path(), b"weights");
        let config = r#"{"num_attention_heads": 8, "text_config": {"hidden_size": 64}, "vocab_size": "many"}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let expected = ModelShape {
            parameters: Some(7),
            hidden_size: Some(64),
            heads: Some(8),
            key_value_heads: Some(8),
            ..ModelShape::default()
        };
        assert_eq!(shape(folder.path()), expected);
        assert_eq!(tensors(folder.path()), [tensor("w", "U8", &[7])]);
    }

    #[test]
    fn sprout_has_some_millions() {
        let data = tempfile::tempdir().unwrap();
        let catalogue = crate::Catalogue::open(data.path()).unwrap();
        let sprout = catalogue.by_name("sprout").unwrap().folder;
        let shape = shape(&sprout.path);
        assert!(shape.parameters.unwrap() > 1_000_000, "{shape:?}");
        assert!(
            shape.context_tokens.is_some() && shape.layers.is_some(),
            "{shape:?}"
        );
    }
}
