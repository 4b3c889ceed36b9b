//! What a model's folder says about its tokens beside tokenizer.json: beginning, end, and which ids end an answer.

use std::path::Path;

use serde_json::Value;

use crate::tokenizer::{TokenizerError, read_json};

/// Marks of a model, from `tokenizer_config.json`, `generation_config.json` and `config.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// What a text begins with, for chat templates.
    pub bos: Option<String>,
    /// What a text ends with, for chat templates.
    pub eos: Option<String>,
    /// The ids that end an answer, as the configuration files list them, ascending.
    pub end_ids: Vec<u32>,
}

impl SpecialTokens {
    /// Reads what is there; files that are missing say nothing.
    pub fn load(folder: &Path) -> Result<Self, TokenizerError> {
        let tokenizer = read_json(&folder.join("tokenizer_config.json"))?.unwrap_or(Value::Null);
        let mut end_ids = Vec::new();
        for file in ["generation_config.json", "config.json"] {
            let config = read_json(&folder.join(file))?.unwrap_or(Value::Null);
            match &config["eos_token_id"] {
                Value::Array(ids) => end_ids.extend(ids.iter().filter_map(as_id)),
                one => end_ids.extend(as_id(one)),
            }
        }
        end_ids.sort_unstable();
        end_ids.dedup();
        Ok(Self {
            bos: token_text(&tokenizer["bos_token"]),
            eos: token_text(&tokenizer["eos_token"]),
            end_ids,
        })
    }
}

fn as_id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// A token is written as its text or as an object that holds it.
fn token_text(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value["content"].as_str())?;
    Some(text.to_owned())
}
