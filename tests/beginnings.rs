//! What was computed of a prompt is found again by every dialect, after an unload and after a restart, with the same text.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::api::Api;
use tests::nodes::{Node, NodeOptions};

/// Far beyond what reading or writing some hundred kilobytes takes.
const LIMIT: Duration = Duration::from_secs(30);
/// Tokens of a block that is kept.
const BLOCK: u64 = 32;
/// Words that differ from each other, so that the prompt is a few hundred tokens.
const WORDS: usize = 120;

fn question() -> String {
    let words: Vec<String> = (0..WORDS).map(|n| format!("word{n}")).collect();
    words.join(" ")
}

/// An answer's text, and how many tokens of its prompt there were and were found.
fn ask(api: &Api, path: &str) -> Result<(String, u64, u64)> {
    let messages = json!([{"role": "user", "content": question()}]);
    let body = json!({"model": "sprout", "messages": messages, "max_tokens": 24, "temperature": 0});
    let (status, answer) = api.post_any(path, &body)?;
    ensure!(status == 200, "{status} {answer}");
    let usage = &answer["usage"];
    let count = |value: &Value| value.as_u64().with_context(|| answer.to_string());
    if path == "/v1/messages" {
        let cached = count(&usage["cache_read_input_tokens"])?;
        let text = answer["content"][0]["text"].as_str().context("text")?;
        return Ok((text.into(), count(&usage["input_tokens"])? + cached, cached));
    }
    let cached = count(&usage["prompt_tokens_details"]["cached_tokens"])?;
    let text = answer["choices"][0]["message"]["content"].as_str();
    let text = text.context("text")?;
    Ok((text.into(), count(&usage["prompt_tokens"])?, cached))
}

/// How many blocks are on disk.
fn blocks(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return usize::from(folder.extension().is_some_and(|name| name == "block"));
    };
    entries.flatten().map(|entry| blocks(&entry.path())).sum()
}

#[test]
fn a_beginning_outlives_an_unload_and_a_restart() -> Result<()> {
    let data = tempfile::tempdir()?;
    let options = NodeOptions {
        data: Some(data.path().into()),
        ..NodeOptions::default()
    };
    let chat = "/v1/chat/completions";
    let mut node = Node::start(&options)?;
    let (text, tokens, cached) = ask(&node.api(), chat)?;
    ensure!(tokens > 4 * BLOCK, "{tokens}");
    assert_eq!(cached, 0);
    // The last token is always computed, for its logits.
    let whole = (tokens - 1) / BLOCK * BLOCK;
    for path in [chat, "/v1/messages"] {
        assert_eq!(
            ask(&node.api(), path)?,
            (text.clone(), tokens, whole),
            "{path}"
        );
    }
    let deadline = Instant::now() + LIMIT;
    let prefixes = data.path().join("prefixes");
    while (blocks(&prefixes) as u64) < whole / BLOCK {
        ensure!(Instant::now() < deadline, "{} blocks", blocks(&prefixes));
        std::thread::sleep(Duration::from_millis(10));
    }
    let api = node.api();
    let instance = api.state()?["instances"][0]["id"].clone();
    api.close(instance.as_str().context("an instance")?)?;
    assert_eq!(ask(&api, chat)?, (text.clone(), tokens, whole), "unloaded");
    node.kill();
    let node = Node::start(&options)?;
    assert_eq!(ask(&node.api(), chat)?, (text, tokens, whole), "restarted");
    Ok(())
}
