//! How a model's makers turn a text's hidden states into its vector: `1_Pooling/config.json`, as the Sentence Transformers
//! library defines it.

use std::path::Path;

use base::Pooling;
use serde_json::Value;

use crate::tokenizer::{TokenizerError, read_json};

/// The keys of the file, each a switch, for what this build can do. The root of the length in the place of the length
/// makes no difference to a vector of length 1.
const KNOWN: [(&str, Pooling); 3] = [
    ("pooling_mode_mean_tokens", Pooling::Mean),
    ("pooling_mode_mean_sqrt_len_tokens", Pooling::Mean),
    ("pooling_mode_lasttoken", Pooling::Last),
];

const FILE: &str = "1_Pooling/config.json";

/// Whether a model's makers say how its vectors are made, as those of models do that were made for them.
pub fn is_for_embeddings(folder: &Path) -> bool {
    folder.join(FILE).is_file()
}

/// Reads what is there; `None` if it is something else. Models that were not made for embeddings have no such file: of
/// them it is the mean, as in Sentence Transformers (`SentenceTransformer._load_auto_model`). Nothing has taught their last
/// token to stand for more than what comes next.
pub fn pooling(folder: &Path) -> Result<Option<Pooling>, TokenizerError> {
    let config = read_json(&folder.join(FILE))?;
    Ok(config.map_or(Some(Pooling::Mean), |config| parse(&config)))
}

/// Several ways at once would be joined to a longer vector.
fn parse(config: &Value) -> Option<Pooling> {
    let config = config.as_object()?;
    let mut wanted = config
        .iter()
        .filter(|(key, value)| key.starts_with("pooling_mode_") && **value == true)
        .map(|(key, _)| key.as_str());
    let (wanted, None) = (wanted.next()?, wanted.next()) else {
        return None;
    };
    let known = KNOWN.iter().find(|(key, _)| *key == wanted);
    known.map(|(_, pooling)| *pooling)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_way_that_is_known_counts() {
        let qwen = json!({
            "word_embedding_dimension": 1024,
            "pooling_mode_cls_token": false,
            "pooling_mode_mean_tokens": false,
            "pooling_mode_lasttoken": true,
            "include_prompt": true,
        });
        assert_eq!(parse(&qwen), Some(Pooling::Last));
        let mean = json!({"pooling_mode_mean_tokens": true});
        assert_eq!(parse(&mean), Some(Pooling::Mean));
        let two = json!({"pooling_mode_mean_tokens": true, "pooling_mode_lasttoken": true});
        let other = json!({"pooling_mode_cls_token": true});
        for unknown in [two, other, json!({}), json!([])] {
            assert_eq!(parse(&unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_model_without_the_file_has_the_mean() {
        let sprout = concat!(env!("ESPALIER_CHECKOUT"), "/engine/store/sprout");
        assert_eq!(pooling(sprout.as_ref()).unwrap(), Some(Pooling::Mean));
    }
}
