//! A model whose weights lie in several files, as those of large ones do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::checkpoints::sprout_with_context;

/// Layers of Sprout, each of which gets a file.
pub const LAYERS: u32 = 6;
/// The file of what belongs to no layer.
pub const ENDS: &str = "model-ends.safetensors";

/// The file of a layer.
pub fn file_of(layer: u32) -> String {
    format!("model-{layer}.safetensors")
}

/// Writes Sprout as [another model](sprout_with_context), with a file for each of its layers.
pub fn sprout_in_files(folder: &Path, context: u32) -> Result<()> {
    sprout_with_context(folder, context)?;
    let whole = folder.join("model.safetensors");
    let bytes = fs::read(&whole)?;
    let (length, rest) = bytes.split_first_chunk().context("no header")?;
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let tensors: Map<String, Value> = serde_json::from_slice(header)?;
    let mut files: BTreeMap<String, (Map<String, Value>, Vec<u8>)> = BTreeMap::new();
    let mut places = Map::new();
    for (name, mut tensor) in tensors
        .into_iter()
        .filter(|(name, _)| name != "__metadata__")
    {
        let layer = name.strip_prefix("model.layers.");
        let layer = layer.and_then(|rest| rest.split('.').next()?.parse().ok());
        let file = layer.map_or_else(|| ENDS.to_owned(), file_of);
        let range = &tensor["data_offsets"];
        let [from, to] = [0, 1].map(|end| range[end].as_u64().unwrap_or(0) as usize);
        let (own, own_data) = files.entry(file.clone()).or_default();
        tensor["data_offsets"] = json!([own_data.len(), own_data.len() + to - from]);
        own_data.extend_from_slice(&data[from..to]);
        own.insert(name.clone(), tensor);
        places.insert(name, json!(file));
    }
    for (name, (header, data)) in files {
        let header = Value::Object(header).to_string().into_bytes();
        let length = (header.len() as u64).to_le_bytes();
        fs::write(folder.join(name), [&length[..], &header, &data].concat())?;
    }
    let index = json!({"metadata": {}, "weight_map": places});
    fs::write(
        folder.join("model.safetensors.index.json"),
        index.to_string(),
    )?;
    fs::remove_file(whole)?;
    Ok(())
}
