//! The embedded model with more layers that change nothing: a large model that says just what a small one says.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::folder;

/// The files of the embedded model besides its weights and its configuration.
const TEXT_FILES: [&str; 3] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
];

/// The matrices with which a layer's parts add to what passes through it: where they are zero it adds nothing.
const ADDING: [&str; 2] = ["self_attn.o_proj.weight", "mlp.down_proj.weight"];

/// A folder named `name` under the one returned, with the embedded model made `layers` deep.
pub fn deeper_sprout(name: &str, layers: usize) -> Result<TempDir> {
    let sprout = folder::sprout();
    let made = tempfile::Builder::new()
        .prefix("espalier-deeper-")
        .tempdir()?;
    let target = made.path().join(name);
    fs::create_dir(&target)?;
    for file in TEXT_FILES {
        fs::copy(sprout.join(file), target.join(file)).context(file)?;
    }
    let mut config: Value = serde_json::from_slice(&fs::read(sprout.join("config.json"))?)?;
    let own = config["num_hidden_layers"].as_u64().context("layers")? as usize;
    config["num_hidden_layers"] = layers.into();
    fs::write(target.join("config.json"), config.to_string())?;
    let deeper = deeper(&fs::read(sprout.join("model.safetensors"))?, own..layers)?;
    fs::write(target.join("model.safetensors"), deeper)?;
    Ok(made)
}

/// The folder of a model made by [`deeper_sprout`].
pub fn path_in(made: &TempDir, name: &str) -> String {
    let path: &Path = made.path();
    path.join(name).to_string_lossy().into_owned()
}

/// A file of weights with further layers, each like the first but for what it adds.
fn deeper(file: &[u8], added: std::ops::Range<usize>) -> Result<Vec<u8>> {
    let (length, rest) = file.split_first_chunk::<8>().context("a header")?;
    let length = u64::from_le_bytes(*length) as usize;
    let (header, data) = rest.split_at_checked(length).context("a whole header")?;
    let header: Map<String, Value> = serde_json::from_slice(header)?;
    let mut all = Map::new();
    let mut bytes = Vec::new();
    let mut add = |name: String, entry: &Value, own: &[u8]| {
        let begin = bytes.len();
        bytes.extend_from_slice(own);
        let entry = json!({"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [begin, bytes.len()]});
        all.insert(name, entry);
    };
    for (name, entry) in &header {
        let Some(own) = bytes_of(entry, data) else {
            continue;
        };
        add(name.clone(), entry, own);
        if let Some(part) = name.strip_prefix("model.layers.0.") {
            let zeros = vec![0; own.len()];
            let own = if ADDING.contains(&part) { &zeros } else { own };
            for layer in added.clone() {
                add(format!("model.layers.{layer}.{part}"), entry, own);
            }
        }
    }
    let header = Value::Object(all).to_string();
    let length = (header.len() as u64).to_le_bytes();
    Ok([&length[..], header.as_bytes(), &bytes].concat())
}

/// What a tensor's entry stands for; `None` for what is no tensor.
fn bytes_of<'a>(entry: &Value, data: &'a [u8]) -> Option<&'a [u8]> {
    let offset = |at: usize| Some(entry["data_offsets"][at].as_u64()? as usize);
    data.get(offset(0)?..offset(1)?)
}
