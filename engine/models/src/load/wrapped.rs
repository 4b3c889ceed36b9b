//! Models of several senses, of which the part about text is read as if there were nothing else.
//!
//! Their configuration has that part's own under `text_config`, and the names of its tensors begin with `language_model.`
//! (mlx-lm) or `model.language_model.` (Transformers). What belongs to other parts keeps its name and is never asked for.

use serde_json::{Map, Value};

/// The text part's configuration, with how the whole is quantized; `None` if there is nothing else in it.
pub(super) fn text_config(whole: &Value) -> Option<Value> {
    let mut text = whole["text_config"].as_object()?.clone();
    if let Some(quantization) = whole["quantization"].as_object() {
        let named = quantization.iter();
        let named = named.map(|(path, how)| (text_name(path), how.clone()));
        let named: Map<String, Value> = named.collect();
        text.insert("quantization".into(), named.into());
    }
    Some(text.into())
}

/// What a tensor or a matrix is called in a model of text alone.
pub(super) fn text_name(name: &str) -> String {
    match name.strip_prefix("model.language_model.") {
        Some(rest) => format!("model.{rest}"),
        None => name.strip_prefix("language_model.").unwrap_or(name).into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_those_of_a_model_of_text() {
        for name in [
            "language_model.model.norm.weight",
            "model.language_model.norm.weight",
            "model.norm.weight",
        ] {
            assert_eq!(text_name(name), "model.norm.weight");
        }
        assert_eq!(text_name("language_model.lm_head.weight"), "lm_head.weight");
        assert_eq!(text_name("vision_tower.norm"), "vision_tower.norm");
    }

    #[test]
    fn the_whole_says_how_its_parts_are_quantized() {
        let whole = json!({
            "text_config": {"hidden_size": 8, "quantization": {"bits": 2}},
            "quantization": {"bits": 4, "language_model.lm_head": {"bits": 8}, "vision_tower.a": false},
        });
        let text = text_config(&whole).unwrap();
        assert_eq!(text["hidden_size"], 8);
        assert_eq!(
            text["quantization"],
            json!({"bits": 4, "lm_head": {"bits": 8}, "vision_tower.a": false})
        );
        assert!(text_config(&json!({"text_config": null})).is_none());
    }
}
