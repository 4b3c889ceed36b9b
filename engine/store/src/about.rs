//! What a model's `config.json` says of it in words, for people who choose one. Nothing is decided by it.

use std::fs::File;
use std::io::Read;
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
    /// Under which licence it is, by the name that its model card gives: `apache-2.0`.
    pub licence: String,
}

/// A name in a list is no longer than this, whatever a file claims.
const CHARACTERS_MAX: usize = 40;
/// The front matter of a model card is at its beginning.
const CARD_BYTES_MAX: u64 = 64 << 10;

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
        let licence = licence(folder);
        let Ok(Some(config)) = read_json_capped::<Config>(folder, "config.json") else {
            return Self {
                licence,
                ..Self::default()
            };
        };
        let quantization = config.quantization.or(config.quantized);
        let bits = quantization.and_then(|quantization| quantization.bits);
        let bits = bits.map(|bits| format!("{bits}-bit"));
        Self {
            family: short(config.model_type),
            weights_format: short(bits.or(config.torch_dtype)),
            licence,
        }
    }
}

/// What the model card says: the line `license: NAME` of its front matter (`license_name` where that is `other`), see
/// <https://huggingface.co/docs/hub/model-cards>.
fn licence(folder: &Path) -> String {
    let Ok(file) = File::open(folder.join("README.md")) else {
        return String::new();
    };
    let mut card = Vec::new();
    if file.take(CARD_BYTES_MAX).read_to_end(&mut card).is_err() {
        return String::new();
    }
    let card = String::from_utf8_lossy(&card);
    let mut lines = card.lines();
    if lines.next() != Some("---") {
        return String::new();
    }
    let front: Vec<&str> = lines.take_while(|line| *line != "---").collect();
    let said = |key: &str| {
        let mut lines = front.iter().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(found, _)| *found == key)?;
        let value = value.trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_owned())
    };
    let name = said("license").filter(|name| name != "other");
    short(name.or_else(|| said("license_name")))
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
            licence: String::new(),
        };
        assert_eq!(About::of(folder.path()), expected);
    }

    #[test]
    fn what_a_model_card_says_of_its_licence() {
        let folder = tempfile::tempdir().unwrap();
        let of = |card: &str| {
            std::fs::write(folder.path().join("README.md"), card).unwrap();
            About::of(folder.path()).licence
        };
        assert_eq!(
            of("---\ntags: []\nlicense: apache-2.0\n---\n# Model"),
            "apache-2.0"
        );
        assert_eq!(
            of("---\nlicense: other\nlicense_name: \"llama3\"\n---\n"),
            "llama3"
        );
        assert_eq!(of("---\nlicense: other\n---\nlicense_name: no\n"), "");
        assert_eq!(of("# Model\nlicense: mit\n"), "");
        assert_eq!(of(""), "");
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
