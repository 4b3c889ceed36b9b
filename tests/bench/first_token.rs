//! Two hosts on a bridge with multicast, found by mDNS alone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::namespaces::Namespaces;
use tests::nodes::{Node, NodeOptions};

/// Far beyond the aim, so that a slow run is a figure and not an error.
const LIMIT: Duration = Duration::from_mins(1);

pub fn measure(runs: usize) -> Result<()> {
    ensure!(
        Namespaces::possible(),
        "network namespaces need root on Linux"
    );
    let mut seen = Vec::new();
    let mut first_token = Vec::new();
    for _ in 0..runs {
        let (seen_after, token_after) = one_run()?;
        seen.push(seen_after.as_secs_f64());
        first_token.push(token_after.as_secs_f64());
    }
    println!(
        "second node's start to both list both:    {} s (aim: under 2)",
        crate::spread(&seen)
    );
    println!(
        "second node's start to first token of both: {} s (aim: under 5)",
        crate::spread(&first_token)
    );
    Ok(())
}

fn one_run() -> Result<(Duration, Duration)> {
    let hosts = Namespaces::make(2)?;
    let options = |host: usize| NodeOptions {
        cluster_key: Some("measure".into()),
        discover: Some("all"),
        namespace: Some(hosts.name(host).to_string()),
        ..NodeOptions::default()
    };
    let first = Node::start(&options(0))?;
    let start = Instant::now();
    let second = Node::start(&options(1))?;
    let api = [first.api(), second.api()];
    for (host, api) in api.iter().enumerate() {
        hosts.inside(host, || api.wait_for_nodes(2, LIMIT))??;
    }
    let seen_after = start.elapsed();
    let token_after = hosts.inside(0, || -> Result<Duration> {
        let id = api[0].place("sprout", "pipeline", 2)?;
        let instance = api[0].wait_ready(&id, LIMIT)?;
        ensure!(
            instance["shards"].as_array().map(Vec::len) == Some(2),
            "not over two nodes: {instance}"
        );
        let body = json!({"model": "sprout", "stream": true, "max_tokens": 8, "temperature": 0,
                          "messages": [{"role": "user", "content": "What is Espalier?"}]});
        let sent = start.elapsed();
        let answer = api[0].stream("/v1/chat/completions", &body, |_| ())?;
        Ok(sent + *answer.arrivals.first().context("no text")?)
    })??;
    Ok((seen_after, token_after))
}
