//! Programs that others wrote, against a real node.

use anyhow::Result;
use tests::checkpoints::python;
use tests::nodes::{Node, NodeOptions};

/// Runs a script of `tests/clients` against a node of its own, at the path where its dialect is.
fn replay(script: &str, path: &str) -> Result<()> {
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let address = format!("http://127.0.0.1:{}{path}", node.port);
    let printed = python(&format!("clients/{script}.py"), &[&address])?;
    assert_eq!(printed.trim(), "ok");
    Ok(())
}

#[test]
fn the_official_openai_sdk_works() -> Result<()> {
    replay("openai_sdk", "/v1")
}

#[test]
fn the_official_openai_sdk_calls_tools() -> Result<()> {
    replay("openai_tools", "/v1")
}

#[test]
fn the_official_anthropic_sdk_works() -> Result<()> {
    replay("anthropic_sdk", "")
}

#[test]
fn the_official_anthropic_sdk_calls_tools() -> Result<()> {
    replay("anthropic_tools", "")
}

#[test]
fn the_official_ollama_sdk_works() -> Result<()> {
    replay("ollama_sdk", "")
}
