//! Programs that others wrote, against a real node.

use anyhow::Result;
use tests::checkpoints::python;
use tests::nodes::{Node, NodeOptions};

#[test]
fn the_official_openai_sdk_works() -> Result<()> {
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let printed = python(
        "clients/openai_sdk.py",
        &[&format!("http://127.0.0.1:{}/v1", node.port)],
    )?;
    assert_eq!(printed.trim(), "ok");
    Ok(())
}

#[test]
fn the_official_anthropic_sdk_works() -> Result<()> {
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let printed = python(
        "clients/anthropic_sdk.py",
        &[&format!("http://127.0.0.1:{}", node.port)],
    )?;
    assert_eq!(printed.trim(), "ok");
    Ok(())
}
