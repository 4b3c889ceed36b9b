//! How a model's makers recommend to sample it: `generation_config.json`, as the Transformers library defines it.

use std::path::Path;

use base::{Penalties, Sampling};
use serde_json::Value;

use crate::tokenizer::{TokenizerError, read_json};

/// Reads what is there. What the file leaves open, or says in a way that makes no sense, stays as the model's own
/// distribution has it.
pub fn recommended_sampling(folder: &Path) -> Result<Sampling, TokenizerError> {
    let config = read_json(&folder.join("generation_config.json"))?.unwrap_or(Value::Null);
    Ok(parse(&config))
}

fn parse(config: &Value) -> Sampling {
    if config["do_sample"] == false {
        return Sampling::GREEDY;
    }
    let number = |name: &str, sound: fn(f32) -> bool| {
        let value = config[name].as_f64().map(|value| value as f32);
        value.filter(|value| sound(*value))
    };
    let plain = Sampling::PLAIN;
    let top_k = config["top_k"]
        .as_u64()
        .and_then(|count| u32::try_from(count).ok());
    Sampling {
        temperature: number("temperature", |value| (0.0..=2.0).contains(&value))
            .unwrap_or(plain.temperature),
        top_p: number("top_p", |value| value > 0.0 && value <= 1.0).unwrap_or(plain.top_p),
        top_k: top_k.unwrap_or(plain.top_k),
        min_p: number("min_p", |value| (0.0..=1.0).contains(&value)).unwrap_or(plain.min_p),
        seed: plain.seed,
        penalties: Penalties {
            repetition: number("repetition_penalty", |value| value > 0.0 && value <= 10.0)
                .unwrap_or(plain.penalties.repetition),
            ..plain.penalties
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_makers_say_counts_and_nonsense_does_not() {
        let qwen = json!({
            "do_sample": true, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.05,
        });
        let expected = Sampling {
            temperature: 0.6,
            top_p: 0.95,
            top_k: 20,
            penalties: Penalties {
                repetition: 1.05,
                ..Penalties::NONE
            },
            ..Sampling::PLAIN
        };
        assert_eq!(parse(&qwen), expected);
        assert_eq!(
            parse(&json!({"do_sample": false, "temperature": 0.6})),
            Sampling::GREEDY
        );
        let nonsense = json!({"temperature": -1, "top_p": 0, "top_k": "many", "min_p": 7});
        assert_eq!(parse(&nonsense), Sampling::PLAIN);
        assert_eq!(parse(&Value::Null), Sampling::PLAIN);
    }
}
