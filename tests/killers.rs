//! A request whose worker dies each time that it runs ends alone, with a reason; the others' answers go on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::api::Api;
use tests::nodes::{Node, NodeOptions};

/// The pieces of one worker follow each other faster, those of the next worker come later.
const NEXT_WORKER: Duration = Duration::from_millis(500);
/// More would be a crash loop. Two are enough unless the machine is so busy that a worker is far ahead of its death.
const DEATHS_MAX: usize = 4;

#[test]
fn what_kills_its_worker_is_not_retried_without_end() -> Result<()> {
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let api = node.api();
    let undisturbed = api.stream("/v1/completions", &request(3), |_| ())?;
    let pieces = AtomicUsize::new(0);
    let (innocent, killer) = thread::scope(|scope| {
        let innocent = scope.spawn(|| {
            api.stream("/v1/completions", &request(3), |count| {
                pieces.store(count, Ordering::Release);
            })
        });
        while pieces.load(Ordering::Acquire) < 30 && !innocent.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        let killer = killed_whenever_it_runs(&node, &api);
        (innocent.join().expect("the innocent's thread"), killer)
    });
    let (deaths, error) = killer?;
    ensure!(error.contains("ended 2 times"), "{error}");
    ensure!((2..=DEATHS_MAX).contains(&deaths), "{deaths} deaths");
    ensure!(
        innocent?.text == undisturbed.text,
        "the other's text changed"
    );
    ensure!(!api.complete("sprout", &json!("Hello"), 4)?.is_empty());
    Ok(())
}

fn request(seed: u64) -> Value {
    json!({"model": "sprout", "prompt": "Count from 1 to 90.", "max_tokens": 900, "temperature": 0.8, "seed": seed,
           "stream": true, "ignore_eos": true})
}

/// Streams an answer and kills the worker at the first piece that each gives; how often, and how it ended.
fn killed_whenever_it_runs(node: &Node, api: &Api) -> Result<(usize, String)> {
    let mut deaths = 0;
    let mut last: Option<Instant> = None;
    let killed = api.stream("/v1/completions", &request(4), |_| {
        if last.is_none_or(|last| last.elapsed() > NEXT_WORKER) {
            for worker in node.worker_processes() {
                // It may be gone already.
                let _ = kill(Pid::from_raw(worker), Signal::SIGKILL);
            }
            deaths += 1;
        }
        last = Some(Instant::now());
    });
    match killed {
        Ok(_) => anyhow::bail!("it was answered after {deaths} deaths"),
        Err(error) => Ok((deaths, error.to_string())),
    }
}
