//! Time to the first token of a prompt that was never seen, that the worker has in memory, and that a restarted node has on
//! disk.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::api::Api;
use tests::nodes::{Node, NodeOptions};

/// What to measure.
pub struct Setup {
    pub model: String,
    pub tokens: usize,
    pub runs: usize,
}

pub fn measure(setup: &Setup) -> Result<()> {
    let data = tempfile::tempdir()?;
    let options = NodeOptions {
        model: Some(setup.model.clone()),
        data: Some(data.path().to_path_buf()),
        ..NodeOptions::default()
    };
    let (mut missed, mut in_memory, mut on_disk) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..setup.runs {
        let node = Node::start(&options)?;
        warm_up(&node.api())?;
        missed.push(first_token(&node.api(), setup, run, false)?);
        in_memory.push(first_token(&node.api(), setup, run, true)?);
        // What was handed to the thread that writes is written in far less.
        std::thread::sleep(Duration::from_secs(1));
        drop(node);
        let node = Node::start(&options)?;
        warm_up(&node.api())?;
        on_disk.push(first_token(&node.api(), setup, run, true)?);
    }
    println!(
        "first token of {} tokens, never seen: {} ms",
        setup.tokens,
        crate::spread(&missed)
    );
    println!(
        "                 in memory: {} ms",
        crate::spread(&in_memory)
    );
    println!(
        "                 on disk, after a restart: {} ms",
        crate::spread(&on_disk)
    );
    Ok(())
}

/// The first answer of a process pays for what is made once.
fn warm_up(api: &Api) -> Result<()> {
    complete(api, &[1, 2, 3]).map(|_| ())
}

/// Milliseconds to the only token of the answer to the prompt of a run.
fn first_token(api: &Api, setup: &Setup, run: usize, seen: bool) -> Result<f64> {
    let prompt: Vec<usize> = (0..setup.tokens)
        .map(|at| (at * 37 + run * 11 + at * at % 7) % 250 + 1)
        .collect();
    let began = Instant::now();
    let answer = complete(api, &prompt)?;
    let took = began.elapsed();
    let cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64();
    let cached = cached.context("no count of cached tokens")?;
    ensure!(seen == (cached > 0), "{cached} tokens were cached");
    Ok(took.as_secs_f64() * 1000.0)
}

fn complete(api: &Api, prompt: &[usize]) -> Result<Value> {
    let model = api.state()?["instances"][0]["model"].clone();
    let body = json!({"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0});
    let (status, answer) = api.post("/v1/completions", &body)?;
    ensure!(status == 200, "{answer}");
    Ok(answer)
}
