//! Numbers equal to mlx-lm's, through the whole product: random checkpoints, one rank, two and three, both shardings.

mod families;
mod formats;
mod recurrent;
mod wrapped;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::api::Api;
use tests::checkpoints::{python, python_json};
use tests::nodes::{Node, start_cluster};

/// Largest difference of a log-probability in float32.
const TOLERANCE: f64 = 1e-3;
/// The same of quantized weights, whose experts' scores may lie near to each other, and of bfloat16.
const TOLERANCE_ROUNDED: f64 = 2e-2;
/// bfloat16 has 8 bits of precision, a tensor split rounds each rank's part before the sum, and these weights are larger
/// than a trained model's.
const TOLERANCE_BF16_TENSOR: f64 = 0.75;
const READY_LIMIT: Duration = Duration::from_mins(1);
/// Tokens of prompts that are computed side by side.
const PROMPTS: [u32; 3] = [40, 71, 9];
const GREEDY_TOKENS: usize = 32;

/// A checkpoint and what mlx-lm makes of it.
struct Reference {
    folder: TempDir,
    answers: Vec<Answer>,
    /// Bits that the model is quantized to as it is loaded; nothing if it is not.
    on_load: Value,
    /// The same of its caches.
    kv_bits: Value,
}

/// Of one prompt.
#[derive(Deserialize)]
struct Answer {
    #[serde(skip)]
    prompt: Vec<u32>,
    logprobs: Vec<Option<f64>>,
    /// The log-probabilities of the greedy choices.
    steps: Vec<f64>,
    /// How far each of them is from the second best; below the tolerance they may differ.
    margins: Vec<f64>,
    /// The prompt's vector.
    embedding: Vec<f64>,
}

impl Reference {
    /// Of a checkpoint that is made as `settings` say; `on_load`, `kv_bits` and the lengths of `prompts` are not about the
    /// checkpoint.
    fn make(settings: &Value) -> Result<Self> {
        let mut settings = settings.clone();
        let mut take = |name: &str| {
            let fields = settings.as_object_mut();
            fields
                .and_then(|fields| fields.remove(name))
                .unwrap_or_default()
        };
        let [on_load, kv_bits, prompts] = ["on_load", "kv_bits", "prompts"].map(&mut take);
        let folder = tempfile::Builder::new()
            .prefix("espalier-parity-")
            .tempdir()?;
        let path = folder.path().to_string_lossy().into_owned();
        python("parity/make_checkpoint.py", &[&path, &settings.to_string()])?;
        let token = |index: u32| (index * 37 + 11) % 500 + 1;
        let lengths: Option<Vec<u32>> = serde_json::from_value(prompts)?;
        let lengths = lengths.unwrap_or(PROMPTS.to_vec());
        let prompt = |count: u32| (0..count).map(|at| token(at + count)).collect();
        let prompts: Vec<Vec<u32>> = lengths.into_iter().map(prompt).collect();
        let arguments = [
            path.as_str(),
            &json!(prompts).to_string(),
            &GREEDY_TOKENS.to_string(),
            &on_load.as_u64().unwrap_or_default().to_string(),
            &kv_bits.as_u64().unwrap_or_default().to_string(),
        ];
        let printed = python_json("parity/reference.py", &arguments)?;
        let mut answers: Vec<Answer> = serde_json::from_value(printed)?;
        for (answer, prompt) in answers.iter_mut().zip(prompts) {
            answer.prompt = prompt;
        }
        Ok(Self {
            folder,
            answers,
            on_load,
            kv_bits,
        })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Asks a placed instance the same, all prompts at once, and compares.
    fn compare(&self, api: &Api, model: &str, tolerance: f64) -> Result<()> {
        thread::scope(|scope| {
            let answers = self.answers.iter();
            let running: Vec<_> = answers
                .map(|answer| scope.spawn(move || answer.compare(api, model, tolerance)))
                .collect();
            for compared in running {
                let compared = compared.join();
                compared.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok(())
        })
    }
}

impl Answer {
    /// Has the prompt scored and continued greedily.
    fn compare(&self, api: &Api, model: &str, tolerance: f64) -> Result<()> {
        let body = json!({"model": model, "prompt": self.prompt, "max_tokens": GREEDY_TOKENS, "temperature": 0,
                          "ignore_eos": true, "echo": true, "logprobs": 0});
        let (status, answer) = api.post("/v1/completions", &body)?;
        assert_eq!(status, 200, "{answer}");
        let values = &answer["choices"][0]["logprobs"]["token_logprobs"];
        let values: Vec<Option<f64>> = serde_json::from_value(values.clone())?;
        let surely = self
            .margins
            .iter()
            .take_while(|margin| **margin > 2.0 * tolerance);
        // The next one is as likely whichever of the two it is.
        let steps = (surely.count() + 1).min(self.steps.len());
        let steps = self.steps[..steps].iter().copied().map(Some);
        let theirs: Vec<Option<f64>> = self.logprobs.iter().copied().chain(steps).collect();
        assert_eq!(values.len(), self.prompt.len() + GREEDY_TOKENS);
        let differences = values.iter().zip(&theirs).map(|pair| match pair {
            (Some(ours), Some(theirs)) => (ours - theirs).abs(),
            (None, None) => 0.0,
            _ => f64::INFINITY,
        });
        let largest = differences.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        let (at, largest) = largest.context("a token")?;
        println!(
            "{model}: largest difference of {} log-probabilities {largest:.2e}, at {at}",
            theirs.len()
        );
        assert!(
            largest <= tolerance,
            "{model}: {largest} is more than {tolerance}"
        );
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
    let id = api.open(&json!({"model": folder, "sharding": sharding, "node_count": ranks, "quantize": reference.on_load, "kv_bits": reference.kv_bits}))?;
    let instance = api.wait_ready(&id, READY_LIMIT)?;
    assert_eq!(
        instance["shards"].as_array().map(Vec::len),
        Some(ranks),
        "{instance}"
    );
    assert_eq!(instance["quantize"], reference.on_load);
    assert_eq!(instance["kv_bits"], reference.kv_bits);
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
        check(&cluster, &settings, &ways, TOLERANCE_ROUNDED)?;
    }
    let bfloat16 = json!({"dtype": "bfloat16"});
    check(&cluster, &bfloat16, &ways[..2], TOLERANCE)?;
    check(&cluster, &bfloat16, &ways[2..], TOLERANCE_BF16_TENSOR)
}
