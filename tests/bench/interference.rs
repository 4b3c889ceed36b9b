//! What a long prompt does to answers that are under way: the silences between their tokens, in steps of their own. These
//! become longer with the answers, so they are taken before the prompt comes and after it is read, and in between from both.

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
/// Answers alone, before the prompt comes and after it is read.
const ALONE: Duration = Duration::from_secs(3);

/// Of an answer.
const ANSWER_TOKENS: u32 = 400;

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
        let running: Vec<_> = (0..streams)
            .map(|stream| scope.spawn(move || arrivals(api, stream, goes_on)))
            .collect();
        thread::sleep(ALONE);
        let read = read_prompt(api, prompt, run);
        thread::sleep(ALONE);
        goes_on.store(false, Ordering::Release);
        let arrivals = running
            .into_iter()
            .map(|stream| stream.join().expect("a stream's thread"));
        let answers: Vec<Vec<_>> = arrivals.collect::<Result<_>>()?;
        Ok((answers.concat(), read?))
    })?;
    let pairs = || arrivals.iter().flat_map(|times| times.windows(2));
    let gap = |pair: &[Instant]| (pair[1] - pair[0]).as_secs_f64();
    let within = |holds: &dyn Fn(Instant) -> bool| -> Vec<f64> {
        pairs().filter(|pair| holds(pair[1])).map(gap).collect()
    };
    let before = within(&|at| at <= sent);
    let after = within(&|at| at > answered + ALONE / 6);
    let usual = |gaps: &[f64]| quantile(gaps, 0.5).context("nobody answered alone");
    let (first, last) = (usual(&before)?, usual(&after)?);
    let read_s = (answered - sent).as_secs_f64();
    let step_at = |at: Instant| first + (last - first) * (at - sent).as_secs_f64() / read_s;
    let during = pairs().filter(|pair| pair[0] > sent && pair[1] <= answered);
    let during: Vec<f64> = during.map(|pair| gap(pair) / step_at(pair[1])).collect();
    println!(
        "{streams} streams, a step of {:.1} ms before and {:.1} ms after; a prompt of {prompt} tokens was read in {read_s:.1} s",
        first * 1e3,
        last * 1e3,
    );
    let in_steps = |gaps: &[f64], step: f64| gaps.iter().map(|gap| gap / step).collect();
    let phases: [(&str, Vec<f64>); 3] = [
        ("before", in_steps(&before, first)),
        ("while it is read", during),
        ("after", in_steps(&after, last)),
    ];
    for (when, gaps) in &phases {
        let of = |share| quantile(gaps, share).unwrap_or(f64::NAN);
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

/// When the tokens of one answer after the other came: none of them becomes long.
fn arrivals(api: &Api, stream: usize, goes_on: &AtomicBool) -> Result<Vec<Vec<Instant>>> {
    let mut answers = Vec::new();
    while goes_on.load(Ordering::Acquire) {
        answers.push(answer(api, stream, goes_on)?);
    }
    Ok(answers)
}

fn answer(api: &Api, stream: usize, goes_on: &AtomicBool) -> Result<Vec<Instant>> {
    let body = json!({"model": "long-sprout", "prompt": [5, 6, 7, stream + 8], "max_tokens": ANSWER_TOKENS, "seed": stream,
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
