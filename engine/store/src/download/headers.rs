//! Headers of safetensors files (<https://github.com/huggingface/safetensors#format>) that come without their files, and what
//! those must be that did not come. Pure.
//!
//! The largest checkpoints have a tensor for each matrix of each expert, a hundred thousand of them, and headers of ten
//! megabytes. But layers are alike: what some files show of some layers says what the rest are, and that together they are
//! exactly as long as all files says that it is right.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tensor: where its data lie does not matter here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// A tensor's name without the numbers in it, which stand between dots: `model.layers.#.mlp.experts.#.up_proj.weight`.
type Pattern = String;

/// What is known of some tensors of one name but for the numbers.
struct Alike {
    tensor: Tensor,
    layers: BTreeSet<u64>,
}

/// Of all headers of a model together. The longest known are a tenth of that.
pub(super) const BYTES_MAX: u64 = 100 << 20;

/// How long a header is, by the first eight bytes of a file, and with these.
pub(super) fn length(first: &[u8]) -> Option<u64> {
    let length = u64::from_le_bytes(first.try_into().ok()?);
    length.checked_add(8)
}

/// A header of all tensors of a model with this configuration, made of the headers of some of its files, and how long a file
/// with it is; `None` if what it says is not as long as `data`, the bytes of all tensors.
pub(super) fn completed<'a>(
    some: impl Iterator<Item = &'a [u8]>,
    config: &[u8],
    data: u64,
) -> Option<(Vec<u8>, u64)> {
    let mut known = BTreeMap::new();
    for header in some {
        let tensors: BTreeMap<String, Value> = serde_json::from_slice(header.get(8..)?).ok()?;
        for (name, tensor) in tensors
            .into_iter()
            .filter(|(name, _)| name != "__metadata__")
        {
            known.insert(name, serde_json::from_value::<Tensor>(tensor).ok()?);
        }
    }
    let mut all = filled_in(known, &Sizes::of(config)?)?;
    let mut end: u64 = 0;
    for tensor in all.values_mut() {
        let bytes = tensor.data_offsets[1].checked_sub(tensor.data_offsets[0])?;
        let next = end.checked_add(bytes)?;
        tensor.data_offsets = [end, next];
        end = next;
    }
    let json = serde_json::to_vec(&all).ok()?;
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.extend(json);
    let bytes = header.len() as u64 + end;
    (end == data).then_some((header, bytes))
}

/// What a configuration says of layers.
struct Sizes {
    layers: u64,
    /// The first so many have no experts.
    dense: u64,
    experts: u64,
}

impl Sizes {
    fn of(config: &[u8]) -> Option<Self> {
        let config: Value = serde_json::from_slice(config).ok()?;
        let number = |names: &[&str]| {
            let text = config.get("text_config");
            let places = [text, Some(&config)].into_iter().flatten();
            places
                .flat_map(|place| names.iter().map(move |name| place.get(*name)))
                .find_map(|value| value?.as_u64())
        };
        let experts = ["n_routed_experts", "num_local_experts", "num_experts"];
        Some(Self {
            layers: number(&["num_hidden_layers"])?,
            dense: number(&["first_k_dense_replace"]).unwrap_or(0),
            experts: number(&experts).unwrap_or(0),
        })
    }

    /// Whether these are not absurd.
    fn are_likely(&self) -> bool {
        self.layers <= 1000 && self.experts <= 10_000
    }
}

/// All tensors, of those that are known. Layers with experts are alike, and so are those without; what only one layer is known
/// to have, it alone has.
fn filled_in(known: BTreeMap<String, Tensor>, sizes: &Sizes) -> Option<BTreeMap<String, Tensor>> {
    if !sizes.are_likely() {
        return None;
    }
    let last = known
        .keys()
        .filter_map(|name| numbers(name).first().copied());
    let layers = last.max().map_or(0, |last| last + 1).max(sizes.layers);
    if layers > sizes.layers + 10 {
        return None;
    }
    let mut all = BTreeMap::new();
    for kind in [0..sizes.dense.min(layers), sizes.dense.min(layers)..layers] {
        let mut alike: BTreeMap<Pattern, Alike> = BTreeMap::new();
        let own = known.iter().filter_map(|(name, tensor)| {
            let layer = *numbers(name).first()?;
            kind.contains(&layer).then_some((name, layer, tensor))
        });
        for (name, layer, tensor) in own {
            let entry = alike.entry(pattern(name)).or_insert_with(|| Alike {
                tensor: tensor.clone(),
                layers: BTreeSet::new(),
            });
            entry.layers.insert(layer);
        }
        let is_one = kind.end - kind.start == 1;
        for (pattern, Alike { tensor, layers }) in alike {
            let all_have_it = layers.len() > 1 || is_one;
            for layer in kind
                .clone()
                .filter(|layer| all_have_it || layers.contains(layer))
            {
                for name in names(&pattern, layer, sizes.experts) {
                    all.insert(name, tensor.clone());
                }
            }
        }
    }
    // What is in no layer, and whatever was seen, is as it was seen.
    all.extend(known);
    Some(all)
}

/// The numbers between the dots of a name.
fn numbers(name: &str) -> Vec<u64> {
    name.split('.')
        .filter_map(|part| part.parse().ok())
        .collect()
}

fn pattern(name: &str) -> Pattern {
    let parts = name.split('.');
    let parts = parts.map(|part| {
        if part.parse::<u64>().is_ok() {
            "#"
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join(".")
}

/// The names of a layer that a pattern stands for: one, or one for each expert.
fn names(pattern: &str, layer: u64, experts: u64) -> Vec<String> {
    let of_layer = pattern.replacen('#', &layer.to_string(), 1);
    if !of_layer.contains('#') {
        return vec![of_layer];
    }
    let experts = 0..experts;
    experts
        .map(|expert| of_layer.replacen('#', &expert.to_string(), 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five layers, the first dense, and a sixth with something of its own; four experts.
    fn model() -> BTreeMap<String, u64> {
        let mut all = BTreeMap::from([("model.embed_tokens.weight".to_owned(), 1000)]);
        for layer in 0..6 {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
            all.insert(name("self_attn.o_proj"), 10);
            if layer == 0 {
                all.insert(name("mlp.up_proj"), 70);
                continue;
            }
            all.insert(name("mlp.gate"), 3);
            for expert in 0..4 {
                all.insert(name(&format!("mlp.experts.{expert}.up_proj")), 7);
            }
        }
        all.insert("model.layers.5.eh_proj.weight".to_owned(), 20);
        all
    }

    const CONFIG: &[u8] =
        br#"{"num_hidden_layers": 5, "first_k_dense_replace": 1, "n_routed_experts": 4}"#;

    fn header<'a>(tensors: impl Iterator<Item = (&'a String, &'a u64)>) -> Vec<u8> {
        let entry = |bytes: u64| Tensor {
            dtype: "U8".to_owned(),
            shape: vec![bytes],
            data_offsets: [0, bytes],
        };
        let tensors: BTreeMap<_, _> = tensors.map(|(name, bytes)| (name, entry(*bytes))).collect();
        let json = serde_json::to_vec(&tensors).unwrap();
        [&(json.len() as u64).to_le_bytes()[..], &json].concat()
    }

    #[test]
    fn what_was_not_read_is_as_what_was() {
        let all = model();
        let data = all.values().sum();
        let is_read = |name: &str| {
            let layer = numbers(name).first().copied();
            layer.is_none_or(|layer| [0, 2, 5].contains(&layer)) && !name.contains("experts.3")
        };
        let some = header(all.iter().filter(|(name, _)| is_read(name)));
        let (made, bytes) = completed([&some[..]].into_iter(), CONFIG, data).unwrap();
        assert_eq!(bytes, made.len() as u64 + data);
        let made: BTreeMap<String, Tensor> = serde_json::from_slice(&made[8..]).unwrap();
        let made: BTreeMap<String, u64> = (made.into_iter())
            .map(|(name, tensor)| (name, tensor.shape[0]))
            .collect();
        assert_eq!(made, all);
    }

    #[test]
    fn what_does_not_add_up_is_not_believed() {
        let all = model();
        let data: u64 = all.values().sum();
        let some = header(all.iter().filter(|(name, _)| !name.contains("layers.3")));
        assert!(completed([&some[..]].into_iter(), CONFIG, data).is_some());
        assert!(completed([&some[..]].into_iter(), CONFIG, data + 1).is_none());
        let unseen = header(all.iter().filter(|(name, _)| !name.contains("eh_proj")));
        assert!(completed([&unseen[..]].into_iter(), CONFIG, data).is_none());
        for wrong in [&b"{}"[..], b"[", br#"{"num_hidden_layers": 99999999999}"#] {
            assert!(completed([&some[..]].into_iter(), wrong, data).is_none());
        }
        assert!(completed([&b"12345678{"[..]].into_iter(), CONFIG, data).is_none());
    }

    #[test]
    fn a_length_is_that_of_eight_bytes_and_what_they_say() {
        assert_eq!(length(&[2, 0, 0, 0, 0, 0, 0, 0]), Some(10));
        assert_eq!(length(&[255; 8]), None);
        assert_eq!(length(&[1]), None);
    }
}
