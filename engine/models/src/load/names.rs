//! What tensors and matrices are called here, whatever a checkpoint calls them.

use serde_json::{Map, Value};

/// How some families' names begin, and the usual names for that.
const BEGINNINGS: [(&str, &str); 5] = [
    ("backbone.embeddings.", "model.embed_tokens."),
    ("backbone.norm_f.", "model.norm."),
    ("backbone.layers.", "model.layers."),
    // mlx-lm calls them so even where there is text alone.
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
];

/// A name as most families have it.
pub(super) fn usual(name: String) -> String {
    let begins = |(own, usual): &(&str, &str)| {
        let rest = name.strip_prefix(own)?;
        Some(format!("{usual}{rest}"))
    };
    BEGINNINGS.iter().find_map(begins).unwrap_or(name)
}

/// The same of all matrices that a configuration names under `quantization`.
pub(super) fn name_quantized(config: &mut Value) {
    if let Some(Value::Object(named)) = config.get_mut("quantization") {
        let renamed = std::mem::take(named).into_iter();
        // The name of a matrix has no dot in the end.
        let renamed = renamed.map(|(path, how)| {
            let path = usual(format!("{path}."));
            (path[..path.len() - 1].to_string(), how)
        });
        *named = renamed.collect::<Map<String, Value>>();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_the_usual_ones() {
        for (own, expected) in [
            ("backbone.norm_f.weight", "model.norm.weight"),
            ("backbone.layers.3.mixer.D", "model.layers.3.mixer.D"),
            ("model.norm.weight", "model.norm.weight"),
            ("lm_head.weight", "lm_head.weight"),
        ] {
            assert_eq!(usual(own.into()), expected);
        }
        let mut config = json!({"quantization": {
            "bits": 4, "backbone.embeddings": {"bits": 8}, "backbone.layers.0.mixer.up_proj": false}});
        name_quantized(&mut config);
        assert_eq!(
            config["quantization"],
            json!({"bits": 4, "model.embed_tokens": {"bits": 8}, "model.layers.0.mixer.up_proj": false})
        );
    }
}
