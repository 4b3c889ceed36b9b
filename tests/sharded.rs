//! The same greedy text from one node and from several, pipeline and tensor.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tests::nodes::{Node, NodeOptions, start_cluster};

const READY_LIMIT: Duration = Duration::from_mins(1);
/// Enough for every part of a step to matter; three ranks that spin on two cores are slow.
const TOKENS: usize = 16;

/// Greedy texts of a few prompts, from whichever node is asked.
fn texts(node: &Node, model: &str, prompts: &[Value]) -> Result<Vec<String>> {
    prompts
        .iter()
        .map(|prompt| node.api().complete(model, prompt, TOKENS))
        .collect()
}

fn sprout_prompts() -> Vec<Value> {
    vec![
        json!("What is Espalier? "),
        json!("Count from 1 to 12: 1, 2,"),
        json!([7, 300, 12, 44, 9, 501]),
    ]
}

fn same_text_sharded(nodes: usize, sharding: &str) -> Result<()> {
    let alone = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let expected = texts(&alone, "sprout", &sprout_prompts())?;
    let cluster = start_cluster(nodes)?;
    let id = cluster[0].api().place("sprout", sharding, nodes)?;
    let instance = cluster[0].api().wait_ready(&id, READY_LIMIT)?;
    assert_eq!(instance["sharding"], sharding);
    assert_eq!(
        instance["shards"].as_array().map(Vec::len),
        Some(nodes),
        "{instance}"
    );
    for node in &cluster {
        assert_eq!(
            texts(node, "sprout", &sprout_prompts())?,
            expected,
            "asked at node {}",
            node.id
        );
    }
    Ok(())
}

#[test]
fn two_pipeline_nodes_answer_like_one() -> Result<()> {
    same_text_sharded(2, "pipeline")
}

#[test]
fn two_tensor_nodes_answer_like_one() -> Result<()> {
    same_text_sharded(2, "tensor")
}

#[test]
fn three_pipeline_nodes_answer_like_one() -> Result<()> {
    same_text_sharded(3, "pipeline")
}

#[test]
fn three_tensor_nodes_answer_like_one() -> Result<()> {
    same_text_sharded(3, "tensor")
}

#[test]
fn a_split_that_the_model_does_not_allow_is_refused_with_the_reason() -> Result<()> {
    let node = Node::start(&NodeOptions::default())?;
    let body = json!({"model": "sprout", "sharding": "tensor", "node_count": 5});
    let (status, answer) = node.api().post("/admin/instances", &body)?;
    assert!((400..500).contains(&status), "{status} {answer}");
    assert_eq!(answer["error"]["code"], "placement_impossible");
    let reason = answer["error"]["message"].as_str().unwrap();
    assert!(
        reason.contains("1, 2, 3, 6"),
        "does not say what is possible: {reason}"
    );
    Ok(())
}
