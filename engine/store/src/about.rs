//! What a model's `config.json` says of it in words, for people who choose one. Nothing is decided by it.

use std::path::Path;

use serde::Deserialize;

use crate::folder::read_json_capped;

/// A model in words; what its files do not say is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// `model_type`: the architecture's name.
    pub family: String,
    /// How its weights are stored: `4-bit`, `bfloat16`.
    pub weights_format: String,
}

/// A name in a list is no longer than this, whatever a file claims.
const CHARACTERS_MAX: usize = 40;

#[derive(Deserialize)]
struct Config {
    model_type: Option<String>,
    /// As MLX writes it.
    quantization: Option<Quantization>,
    /// As others write it; some files have both.
    #[serde(rename = "quantization_config")]
    quantized: Option<Quantization>,
    /// Newer files say `dtype`.
    #[serde(alias = "dtype")]
    torch_dtype: Option<String>,
}

#[derive(Deserialize)]
struct Quantization {
    bits: Option<u32>,
}

impl About {
    /// Reads it. A file that cannot be understood says nothing; loading the model will tell why.
    pub fn of(folder: &Path) -> Self {
        let Ok(Some(config)) = read_json_capped::<Config>(folder, "config.json") else {
            return Self::default();
        };
        let quantization = config.quantization.or(config.quantized);
        let bits = quantization.and_then(|quantization| quantization.bits);
        let bits = bits.map(|bits| format!("{bits}-bit"));
        Self {
            family: short(config.model_type),
            weights_format: short(bits.or(config.torch_dtype)),
        }
    }
}

fn short(text: Option<String>) -> String {
    let text = text.unwrap_or_default();
    text.chars().take(CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(config: &str, family: &str, weights_format: &str) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let expected = About {
            family: family.into(),
            weights_format: weights_format.into(),
        };
        assert_eq!(About::of(folder.path()), expected);
    }

    #[test]
    fn what_a_config_says() {
        check(
            r#"{"model_type": "llama", "torch_dtype": "float32"}"#,
            "llama",
            "float32",
        );
        check(
            r#"{"model_type": "qwen3", "dtype": "bfloat16", "quantization": {"group_size": 64, "bits": 4}}"#,
            "qwen3",
            "4-bit",
        );
        check(r#"{"quantization_config": {"bits": 8}}"#, "", "8-bit");
        check("{}", "", "");
        check("[", "", "");
        check(r#"{"model_type": 5}"#, "", "");
    }

    #[test]
    fn no_file_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(About::of(folder.path()), About::default());
    }
}
