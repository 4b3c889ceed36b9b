//! What a long prompt does to answers that are under way: the silences between their tokens, in units of what is usual.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::api::Api;
use tests::checkpoints::sprout_with_context;
use tests::nodes::{Node, NodeOptions};

/// Of the model: the prompt and the answers fit.
const CONTEXT_TOKENS: u32 = 32_768;
/// Answers alone, before the prompt comes.
const ALONE: Duration = Duration::from_secs(3);

pub fn measure(prompt: usize, streams: usize, runs: usize) -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("espalier-long-")
        .tempdir()?;
    let model = folder.path().join("long-sprout");
    sprout_with_context(&model, CONTEXT_TOKENS)?;
    let node = Node::start(&NodeOptions {
        model: Some(model.to_string_lossy().into_owned()),
        ..NodeOptions::default()
    })?;
    for run in 0..runs {
        one_run(&node.api(), prompt, streams, run)?;
    }
    Ok(())
}

fn one_run(api: &Api, prompt: usize, streams: usize, run: usize) -> Result<()> {
    let goes_on = AtomicBool::new(true);
    let (arrivals, (sent, answered)) = thread::scope(|scope| -> Result<_> {
        let goes_on = &goes_on;
        let streams: Vec<_> = (0..streams)
            .map(|stream| scope.spawn(move || arrivals(api, stream, goes_on)))
            .collect();
        thread::sleep(ALONE);
        let read = read_prompt(api, prompt, run);
        goes_on.store(false, Ordering::Release);
        let arrivals = streams
            .into_iter()
            .map(|stream| stream.join().expect("a stream's thread"));
        Ok((arrivals.collect::<Result<Vec<_>>>()?, read?))
    })?;
    let gaps = |from: Option<Instant>, to: Instant| -> Vec<f64> {
        let pairs = arrivals.iter().flat_map(|times| times.windows(2));
        let within = pairs.filter(|pair| from.is_none_or(|from| pair[1] > from) && pair[1] <= to);
        within
            .map(|pair| (pair[1] - pair[0]).as_secs_f64())
            .collect()
    };
    let before = gaps(None, sent);
    let during = gaps(Some(sent), answered);
    let step = quantile(&before, 0.5).context("nobody answered before the prompt came")?;
    println!(
        "{} streams, a step of {:.1} ms; a prompt of {prompt} tokens was read in {:.1} s",
        arrivals.len(),
        step * 1e3,
        (answered - sent).as_secs_f64()
    );
    for (when, gaps) in [("alone", &before), ("while it is read", &during)] {
        let of = |share| quantile(gaps, share).map_or(f64::NAN, |gap| gap / step);
        println!(
            "  {when}: {} gaps, in steps: p50 {:.2}  p99 {:.2}  max {:.2}",
            gaps.len(),
            of(0.5),
            of(0.99),
            of(1.0)
        );
    }
    Ok(())
}

/// When the tokens of an endless answer came.
fn arrivals(api: &Api, stream: usize, goes_on: &AtomicBool) -> Result<Vec<Instant>> {
    let body = json!({"model": "long-sprout", "prompt": [5, 6, 7, stream + 8], "max_tokens": 3000, "seed": stream,
                      "temperature": 1.0, "stream": true, "ignore_eos": true, "logprobs": 0});
    let chunks = api.begin_stream("/v1/completions", &body)?;
    let chunks = chunks.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    let mut arrivals = Vec::new();
    for chunk in chunks {
        chunk?;
        arrivals.push(Instant::now());
        if !goes_on.load(Ordering::Acquire) {
            break;
        }
    }
    Ok(arrivals)
}

/// When a long prompt was sent, and when its first token came.
fn read_prompt(api: &Api, tokens: usize, run: usize) -> Result<(Instant, Instant)> {
    // Another one in each run, so that it is not found computed.
    let prompt: Vec<usize> = (0..tokens)
        .map(|at| 5 + (at * 7 + run * 131) % 1000)
        .collect();
    let body = json!({"model": "long-sprout", "prompt": prompt, "max_tokens": 1, "temperature": 0});
    let sent = Instant::now();
    let (status, answer) = api.post("/v1/completions", &body)?;
    ensure!(status == 200, "{status}: {answer}");
    Ok((sent, Instant::now()))
}

fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().checked_sub(1)? as f64 * share).round();
    sorted.get(at as usize).copied()
}
