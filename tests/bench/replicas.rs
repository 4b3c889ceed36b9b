//! Many requests at once to replicas of a model against one node, taking turns on the same cores.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::api::Api;
use tests::nodes::{Node, NodeOptions, start_cluster};

/// A 30 M model loads in well under a second; the rest is a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// What to compare.
#[derive(Debug, clap::Args)]
pub struct Setup {
    /// Model to open: an id or a folder.
    #[arg(long, default_value = "sprout")]
    model: String,
    /// Nodes, each with a replica.
    #[arg(long, default_value_t = 2)]
    nodes: usize,
    /// Requests at once.
    #[arg(long, default_value_t = 16)]
    streams: usize,
    /// Tokens to generate in each.
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    /// How often.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

pub fn measure(setup: &Setup) -> Result<()> {
    let alone = Node::start(&NodeOptions::default())?;
    let cluster = start_cluster(setup.nodes)?;
    let one = (alone.api(), open(&alone.api(), setup, 1)?);
    let many = (
        cluster[0].api(),
        open(&cluster[0].api(), setup, setup.nodes)?,
    );
    let (mut single, mut replicated, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..=setup.runs {
        let baseline = tokens_per_second(&one, setup)?;
        let measured = tokens_per_second(&many, setup)?;
        if run == 0 {
            continue; // the first run warms both up
        }
        single.push(baseline);
        replicated.push(measured);
        ratios.push(measured / baseline);
    }
    println!(
        "one node, {} streams:  {} tok/s",
        setup.streams,
        crate::spread(&single)
    );
    println!(
        "{} replicas:            {} tok/s",
        setup.nodes,
        crate::spread(&replicated)
    );
    println!("ratio to one node:     {}", crate::spread(&ratios));
    Ok(())
}

/// The name under which so many instances answer.
fn open(api: &Api, setup: &Setup, replicas: usize) -> Result<String> {
    let wish = json!({"model": setup.model, "replicas": replicas, "node_count": 1});
    let (status, opened) = api.post("/admin/instances", &wish)?;
    ensure!(status == 202, "opening answered {status}: {opened}");
    let ids = opened["ids"].as_array().context("ids")?;
    let mut name = String::new();
    for id in ids.iter().filter_map(Value::as_str) {
        let instance = api.wait_ready(id, READY_LIMIT)?;
        instance["model"]
            .as_str()
            .context("model")?
            .clone_into(&mut name);
    }
    Ok(name)
}

fn tokens_per_second((api, model): &(Api, String), setup: &Setup) -> Result<f64> {
    let start = Instant::now();
    let asking: Vec<_> = (0..setup.streams)
        .map(|seed| {
            let body = json!({"model": model, "prompt": format!("Question {seed}: "), "seed": seed,
                              "max_tokens": setup.tokens, "ignore_eos": true, "temperature": 0.8});
            let api = api.clone();
            thread::spawn(move || api.post("/v1/completions", &body))
        })
        .collect();
    let mut tokens = 0;
    for asked in asking {
        let (status, answer) = asked.join().map_err(|_| anyhow::anyhow!("a panic"))??;
        ensure!(status == 200, "a completion answered {status}: {answer}");
        tokens += answer["usage"]["completion_tokens"]
            .as_u64()
            .context("usage")?;
    }
    Ok(tokens as f64 / start.elapsed().as_secs_f64())
}
