//! 10,000 malformed requests to a real node: every one gets an error, and memory stays flat.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tests::nodes::{Node, NodeOptions};
use tests::random::Random;

const REQUESTS: usize = 10_000;
/// A request that is not answered in this time hangs.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Allocators keep some of what they once had; a leak of 10,000 bodies would be far more.
const GROWTH_BYTES_MAX: u64 = 24 << 20;

/// A valid body with something broken. `max_tokens` is small, so that what stays valid is cheap.
fn broken_body(random: &mut Random) -> Vec<u8> {
    let chat = json!({"model": "sprout", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]});
    let completion = json!({"model": "sprout", "max_tokens": 1, "prompt": [1, 2, 3], "logprobs": 1, "echo": true});
    let mut body = if random.below(2) == 0 {
        chat
    } else {
        completion
    }
    .to_string()
    .into_bytes();
    match random.below(6) {
        0 => body.truncate(random.below(body.len())),
        1 => {
            body = (0..random.below(300))
                .map(|_| random.draw() as u8)
                .collect();
        }
        2 => body = "[".repeat(random.below(20_000)).into_bytes(),
        3 => {
            body = format!(
                "{{\"model\":\"sprout\",\"max_tokens\":{}1e{}}}",
                random.draw(),
                random.below(999)
            )
            .into_bytes();
        }
        _ => {
            for _ in 0..=random.below(8) {
                let at = random.below(body.len());
                body[at] = random.draw() as u8;
            }
        }
    }
    body
}

fn memory_bytes(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes << 10)
}

#[test]
fn ten_thousand_malformed_requests_change_nothing() -> Result<()> {
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let mut random = Random::new(20);
    let base = format!("http://127.0.0.1:{}", node.port);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER_LIMIT))
        .http_status_as_error(false)
        .build()
        .into();
    let mut before = 0;
    for request in 0..REQUESTS {
        if request == REQUESTS / 10 {
            before = memory_bytes(node.process())?;
        }
        let path = if random.below(2) == 0 {
            "/v1/chat/completions"
        } else {
            "/v1/completions"
        };
        let body = broken_body(&mut random);
        let sent = agent
            .post(&format!("{base}{path}"))
            .content_type("application/json")
            .send(&body[..]);
        let status = sent
            .with_context(|| format!("request {request}: {body:?}"))?
            .status()
            .as_u16();
        assert!(
            (200..500).contains(&status),
            "request {request} answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
    }
    let after = memory_bytes(node.process())?;
    assert!(
        after < before + GROWTH_BYTES_MAX,
        "memory grew from {before} to {after} bytes"
    );
    assert!(
        !node
            .api()
            .complete("sprout", &json!("Hello"), 4)?
            .is_empty()
    );
    Ok(())
}
