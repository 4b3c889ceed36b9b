//! A small model that drafts for a large one: the same answers, in fewer steps, however the large one is divided.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tests::deeper::{deeper_sprout, path_in};
use tests::nodes::{Node, NodeOptions, start_cluster};
use tests::random::Random;
use tests::tiny;
use tests::tiny::vocabulary::{Kind, Vocabulary};

const READY_LIMIT: Duration = Duration::from_mins(1);
/// A worker says what it counted once a second.
const COUNTED_WITHIN: Duration = Duration::from_millis(1500);
/// Three times Sprout's.
const LAYERS: usize = 18;
const NAME: &str = "deep";

const QUESTIONS: [&str; 4] = [
    "What is Espalier?",
    "What is a shard?",
    "Count from 3 to 9.",
    "Who are you?",
];

/// Answers to some questions, greedy and drawn.
fn answers(node: &Node, model: &str) -> Result<Vec<Value>> {
    let mut answers = Vec::new();
    for (question, temperature) in QUESTIONS.into_iter().flat_map(|it| [(it, 0.0), (it, 0.8)]) {
        let body = json!({
            "model": model, "temperature": temperature, "seed": 5, "max_tokens": 80,
            "messages": [{"role": "user", "content": question}],
        });
        let (status, answer) = node.api().post("/v1/chat/completions", &body)?;
        assert_eq!(status, 200, "{answer}");
        answers.push(answer["choices"][0]["message"]["content"].clone());
    }
    Ok(answers)
}

fn same_text_drafted(nodes: usize, sharding: &str) -> Result<()> {
    let made = deeper_sprout(NAME, LAYERS)?;
    let folder = path_in(&made, NAME);
    let alone = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let expected = answers(&alone, "sprout")?;
    let cluster = start_cluster(nodes)?;
    let api = cluster[0].api();
    let id = api.open(&json!({
        "model": folder, "draft": "sprout", "sharding": sharding, "node_count": nodes,
    }))?;
    let instance = api.wait_ready(&id, READY_LIMIT)?;
    assert_eq!(instance["draft"], "sprout", "{instance}");
    let model = instance["model"].as_str().unwrap_or_default();
    for node in &cluster {
        assert_eq!(answers(node, model)?, expected, "asked at {}", node.id);
    }
    thread::sleep(COUNTED_WITHIN);
    let counted = |name: &str| -> Result<f64> {
        let of_each = cluster.iter().map(|node| node.api().metric(name));
        Ok(of_each.collect::<Result<Vec<_>>>()?.iter().sum())
    };
    let accepted = counted("espalier_accepted_tokens_total")?;
    let guessed = counted("espalier_guessed_tokens_total")?;
    // How many follows from what a draft takes on this machine: that it pays is for `measure speculation` to say.
    assert!(accepted > 0.0, "{accepted} of {guessed}");
    Ok(())
}

#[test]
fn one_node_answers_the_same() -> Result<()> {
    same_text_drafted(1, "auto")
}

#[test]
fn two_pipeline_nodes_answer_the_same() -> Result<()> {
    same_text_drafted(2, "pipeline")
}

#[test]
fn two_tensor_nodes_answer_the_same() -> Result<()> {
    same_text_drafted(2, "tensor")
}

#[test]
fn a_model_that_cannot_draft_is_refused_with_the_reason() -> Result<()> {
    let mut random = Random::new(3);
    let other = tiny::random(&Vocabulary::of_bytes(Kind::ByteLevel), &mut random)?;
    let node = Node::start(&NodeOptions::default())?;
    let refused = |draft: &str| -> Result<String> {
        let body = json!({"model": "sprout", "draft": draft});
        let (status, answer) = node.api().post("/admin/instances", &body)?;
        assert!((400..500).contains(&status), "{status} {answer}");
        Ok(answer["error"]["message"].to_string())
    };
    let unlike = refused(&other.path().to_string_lossy())?;
    assert!(
        unlike.contains("sprout") && unlike.contains("tokenizers differ"),
        "{unlike}"
    );
    let missing = refused("acme/none")?;
    assert!(missing.contains("acme/none"), "{missing}");
    Ok(())
}
