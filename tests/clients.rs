//! Programs that others wrote, against a real node.

use anyhow::Result;
use tests::checkpoints::python;
use tests::node_js;
use tests::nodes::{Node, NodeOptions};
use tests::scripted;

/// Runs a scenario of `tests/clients`, in Python or in JavaScript, against a node of its own, at the path where its
/// dialect is.
fn replay(scenario: &str, path: &str) -> Result<()> {
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let address = format!("http://127.0.0.1:{}{path}", node.port);
    let file = format!("clients/{scenario}");
    let run = match scenario.rsplit_once('.') {
        Some((_, "mjs")) => node_js::run,
        _ => python,
    };
    assert_eq!(run(&file, &[&address])?.trim(), "ok");
    Ok(())
}

#[test]
fn the_official_openai_sdk_works() -> Result<()> {
    replay("openai_sdk.py", "/v1")
}

#[test]
fn the_official_openai_sdk_calls_tools() -> Result<()> {
    replay("openai_tools.py", "/v1")
}

#[test]
fn the_official_openai_sdk_for_javascript_works() -> Result<()> {
    replay("openai_sdk.mjs", "/v1")
}

#[test]
fn the_official_openai_sdk_for_javascript_calls_tools() -> Result<()> {
    replay("openai_tools.mjs", "/v1")
}

#[test]
fn the_official_openai_sdk_for_javascript_keeps_responses() -> Result<()> {
    replay("openai_responses.mjs", "/v1")
}

/// They want short strings, which Sprout does not write against its will.
#[test]
fn langchains_standard_tests_pass_for_chat_openai() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("scripted");
    let (node, name) = scripted::node(&model, &["Hello! What can I do for you?"])?;
    let address = format!("http://127.0.0.1:{}/v1", node.port);
    let printed = python("clients/langchain_openai_standard.py", &[&address, &name])?;
    assert_eq!(printed.trim(), "ok");
    Ok(())
}

#[test]
fn the_official_anthropic_sdk_works() -> Result<()> {
    replay("anthropic_sdk.py", "")
}

#[test]
fn the_official_anthropic_sdk_calls_tools() -> Result<()> {
    replay("anthropic_tools.py", "")
}
