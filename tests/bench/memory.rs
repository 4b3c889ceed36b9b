//! What the planner foresees that a shard needs, and what its worker holds of it once it has read a prompt that fills the cache.
//!
//! The elements of the model have 4 bytes: a processor computes with those fastest.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::checkpoints::python;
use tests::footprint::Footprint;
use tests::nodes::{Node, start_cluster};

use crate::decode::text;
use crate::loading::{WAYS, configuration};

/// What is measured.
#[derive(Debug, clap::Args)]
pub struct Setup {
    /// Of the checkpoint, about.
    #[arg(long, default_value_t = 2.0)]
    gigabytes: f64,
    /// Tokens of the prompt; the model's context is as many, and the least that is planned are 4096.
    #[arg(long, default_value_t = 4096)]
    tokens: usize,
}

/// Of a model of gigabytes.
const READY_LIMIT: Duration = Duration::from_mins(5);

pub fn measure(setup: &Setup) -> Result<()> {
    let place = tempfile::Builder::new()
        .prefix("espalier-memory-")
        .tempdir()?;
    let model = place.path().join("model");
    let mut settings = configuration((setup.gigabytes * 1e9) as u64, 4);
    settings["max_position_embeddings"] = json!(setup.tokens);
    python(
        "parity/make_checkpoint.py",
        &[&text(&model), &settings.to_string()],
    )?;
    let cluster = start_cluster(2)?;
    for (sharding, world) in WAYS {
        println!("{sharding} over {world}:");
        of_way(
            &cluster,
            &text(&model),
            setup.tokens,
            (sharding, world as usize),
        )?;
    }
    Ok(())
}

fn of_way(
    cluster: &[Node],
    model: &str,
    tokens: usize,
    (sharding, world): (&str, usize),
) -> Result<()> {
    let api = cluster[0].api();
    let id = api.place(model, sharding, world)?;
    let instance = api.wait_ready(&id, READY_LIMIT)?;
    // One of them is for the answer.
    let prompt: Vec<usize> = (1..tokens).map(|at| 1 + at * 7 % 1000).collect();
    let body =
        json!({"model": instance["model"], "prompt": prompt, "max_tokens": 1, "temperature": 0});
    let (status, answer) = api.post("/v1/completions", &body)?;
    ensure!(status == 200, "{status}: {answer}");
    for shard in instance["shards"].as_array().context("shards")? {
        let node = cluster.iter().find(|node| shard["node_id"] == node.id);
        let workers = node.context("an unknown node")?.worker_processes();
        let [worker] = workers.as_slice() else {
            anyhow::bail!("{} workers", workers.len());
        };
        let worker = u32::try_from(*worker)?;
        let held = Footprint::of(worker)?.memory_kb as f64 * 1.024e-3;
        let peak = Footprint::peak_kb(worker)? as f64 * 1.024e-3;
        let planned = shard["bytes"].as_f64().context("bytes")? / 1e6;
        println!(
            "  rank {}: planned {planned:.0} MB, held {held:.0} MB ({:.2} of it), at most {peak:.0} MB ({:.2} of it)",
            shard["rank"],
            held / planned,
            peak / planned
        );
    }
    api.close(&id)
}
