//! Numbers equal to mlx-lm's, through the whole product: random checkpoints, one rank, two and three, both shardings.

mod families;
mod recurrent;
mod wrapped;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::api::Api;
use tests::checkpoints::{python, python_json};
use tests::nodes::{Node, start_cluster};

/// Largest difference of a log-probability in float32.
const TOLERANCE: f64 = 1e-3;
/// bfloat16 has 8 bits of precision, a tensor split rounds each rank's part before the sum, and these weights are larger
/// than a trained model's.
const TOLERANCE_BF16_TENSOR: f64 = 0.75;
const READY_LIMIT: Duration = Duration::from_mins(1);
const GREEDY_TOKENS: usize = 16;

/// A checkpoint and what mlx-lm makes of it.
struct Reference {
    folder: TempDir,
    prompt: Vec<u32>,
    logprobs: Vec<Option<f64>>,
    greedy: Vec<u32>,
    /// How far the greedy choices are from the second best; below the tolerance they may differ.
    margin: f64,
    /// The prompt's vector.
    embedding: Vec<f64>,
}

impl Reference {
    fn make(settings: &Value) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("espalier-parity-")
            .tempdir()?;
        let path = folder.path().to_string_lossy().into_owned();
        python("parity/make_checkpoint.py", &[&path, &settings.to_string()])?;
        let prompt: Vec<u32> = (0..40)
            .map(|index: u32| (index * 37 + 11) % 500 + 1)
            .collect();
        let arguments = [
            path.as_str(),
            &json!(prompt).to_string(),
            &GREEDY_TOKENS.to_string(),
        ];
        let printed = python_json("parity/reference.py", &arguments)?;
        Ok(Self {
            folder,
            prompt,
            logprobs: serde_json::from_value(printed["logprobs"].clone())?,
            greedy: serde_json::from_value(printed["greedy"].clone())?,
            margin: printed["margin"].as_f64().context("margin")?,
            embedding: serde_json::from_value(printed["embedding"].clone())?,
        })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Scores the prompt and continues it greedily on a placed instance, and compares.
    fn compare(&self, api: &Api, model: &str, tolerance: f64) -> Result<()> {
        let scored = complete(
            api,
            &json!({"model": model, "prompt": self.prompt, "max_tokens": 0, "echo": true, "logprobs": 0}),
        )?;
        let values = &scored["choices"][0]["logprobs"]["token_logprobs"];
        let values: Vec<Option<f64>> = serde_json::from_value(values.clone())?;
        assert_eq!(values.len(), self.logprobs.len());
        let differences = values.iter().zip(&self.logprobs).map(|pair| match pair {
            (Some(ours), Some(theirs)) => (ours - theirs).abs(),
            (None, None) => 0.0,
            _ => f64::INFINITY,
        });
        let largest = differences.fold(0.0, f64::max);
        println!("{model}: largest difference of a log-probability {largest:.2e}");
        assert!(
            largest <= tolerance,
            "{model}: {largest} is more than {tolerance}"
        );
        if self.margin > tolerance {
            self.compare_greedy(api, model)?;
        }
        self.compare_embedding(api, model, tolerance)
    }

    fn compare_embedding(&self, api: &Api, model: &str, tolerance: f64) -> Result<()> {
        let body = json!({"model": model, "input": self.prompt});
        let (status, answer) = api.post("/v1/embeddings", &body)?;
        assert_eq!(status, 200, "{answer}");
        let ours: Vec<f64> = serde_json::from_value(answer["data"][0]["embedding"].clone())?;
        assert_eq!(ours.len(), self.embedding.len());
        let cosine: f64 = ours.iter().zip(&self.embedding).map(|(a, b)| a * b).sum();
        println!(
            "{model}: the vectors' cosine is less than 1 by {:.2e}",
            1.0 - cosine
        );
        assert!((1.0 - cosine).abs() <= tolerance * 0.1, "{model}: {cosine}");
        Ok(())
    }

    fn compare_greedy(&self, api: &Api, model: &str) -> Result<()> {
        let greedy = complete(
            api,
            &json!({"model": model, "prompt": self.prompt, "max_tokens": GREEDY_TOKENS,
            "temperature": 0, "ignore_eos": true}),
        )?;
        // Scored with our own text appended as tokens: mlx-lm's greedy tokens must each be the likeliest.
        let whole = [self.prompt.clone(), self.greedy.clone()].concat();
        let scored = complete(
            api,
            &json!({"model": model, "prompt": whole, "max_tokens": 0, "echo": true, "logprobs": 1}),
        )?;
        let logprobs = &scored["choices"][0]["logprobs"];
        for position in self.prompt.len()..whole.len() {
            let own = logprobs["token_logprobs"][position]
                .as_f64()
                .context("logprob")?;
            let best = logprobs["top_logprobs"][position]
                .as_object()
                .context("top")?;
            let best = best
                .values()
                .filter_map(Value::as_f64)
                .fold(f64::NEG_INFINITY, f64::max);
            assert!(
                own >= best,
                "{model}: at {position} mlx-lm chose another token"
            );
        }
        let text = scored["choices"][0]["text"].as_str().context("text")?;
        let continued = greedy["choices"][0]["text"].as_str().context("text")?;
        assert!(
            text.ends_with(continued),
            "{model}: decoding step by step gave {continued:?}"
        );
        Ok(())
    }
}

fn complete(api: &Api, body: &Value) -> Result<Value> {
    let (status, answer) = api.post("/v1/completions", body)?;
    assert_eq!(status, 200, "{answer}");
    Ok(answer)
}

/// Places the checkpoint in each of these ways and compares; `ways` are (sharding, ranks).
fn check(cluster: &[Node], settings: &Value, ways: &[(&str, usize)], tolerance: f64) -> Result<()> {
    let reference = Reference::make(settings)?;
    for (sharding, ranks) in ways {
        compare_placed(
            cluster,
            &reference,
            &reference.path(),
            (sharding, *ranks),
            tolerance,
        )
        .with_context(|| format!("{settings}, {sharding} over {ranks}"))?;
    }
    Ok(())
}

fn compare_placed(
    cluster: &[Node],
    reference: &Reference,
    folder: &Path,
    (sharding, ranks): (&str, usize),
    tolerance: f64,
) -> Result<()> {
    let api = cluster[0].api();
    let id = api.place(&folder.to_string_lossy(), sharding, ranks)?;
    let instance = api.wait_ready(&id, READY_LIMIT)?;
    assert_eq!(
        instance["shards"].as_array().map(Vec::len),
        Some(ranks),
        "{instance}"
    );
    let model = instance["model"].as_str().context("model")?;
    reference.compare(&api, model, tolerance)?;
    api.close(&id)
}

const ALL_WAYS: [(&str, usize); 5] = [
    ("auto", 1),
    ("pipeline", 2),
    ("tensor", 2),
    ("pipeline", 3),
    ("tensor", 3),
];

#[test]
fn llama_equals_mlx_lm() -> Result<()> {
    let cluster = start_cluster(3)?;
    check(
        &cluster,
        &json!({"model_type": "llama"}),
        &ALL_WAYS,
        TOLERANCE,
    )
}

#[test]
fn qwen3_equals_mlx_lm() -> Result<()> {
    let cluster = start_cluster(3)?;
    check(
        &cluster,
        &json!({"model_type": "qwen3", "seed": 2}),
        &ALL_WAYS,
        TOLERANCE,
    )
}

#[test]
fn variants_equal_mlx_lm() -> Result<()> {
    let cluster = start_cluster(2)?;
    let ways = [("auto", 1), ("pipeline", 2), ("tensor", 2)];
    for settings in [
        json!({"model_type": "llama", "tie_word_embeddings": true, "num_key_value_heads": 2, "attention_bias": true}),
        json!({"model_type": "llama", "rope_theta": 500_000.0, "max_position_embeddings": 8192, "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32}}),
        json!({"model_type": "qwen3", "tie_word_embeddings": true, "num_key_value_heads": 2, "head_dim": 32}),
    ] {
        check(&cluster, &settings, &ways, TOLERANCE)?;
    }
    for settings in [
        json!({"quantize": 4, "hidden_size": 128, "num_attention_heads": 8, "num_key_value_heads": 4}),
        json!({"model_type": "qwen3", "quantize": 8, "hidden_size": 128, "num_attention_heads": 8, "num_key_value_heads": 4}),
    ] {
        check(&cluster, &settings, &ways, TOLERANCE)?;
    }
    let bfloat16 = json!({"dtype": "bfloat16"});
    check(&cluster, &bfloat16, &ways[..2], TOLERANCE)?;
    check(&cluster, &bfloat16, &ways[2..], TOLERANCE_BF16_TENSOR)
}
