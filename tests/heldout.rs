//! Questions that Sprout was not trained on in their wording, asked through the real server.

use anyhow::Result;
use serde_json::{Value, json};
use tests::nodes::{Node, NodeOptions};

const QUESTIONS: &str = include_str!("../engine/store/sprout/train/heldout.json");
/// Of ten questions, as many must be answered right.
const RIGHT_OF_TEN_MIN: usize = 8;

#[test]
fn sprout_answers_questions_phrased_anew() -> Result<()> {
    // Each has `messages`, a conversation that ends with the question, and `accept`, words of which a right answer has any.
    let questions: Vec<Value> = serde_json::from_str(QUESTIONS)?;
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let mut wrong = Vec::new();
    for question in &questions {
        let body = json!({"model": "sprout", "temperature": 0, "max_tokens": 200, "messages": question["messages"]});
        let (_, answer) = node.api().post("/v1/chat/completions", &body)?;
        let text = answer["choices"][0]["message"]["content"]
            .as_str()
            .unwrap_or_default();
        let ended = answer["choices"][0]["finish_reason"] == "stop";
        let begins = |first: char| first.is_uppercase() || first.is_ascii_digit();
        let sentence = text.starts_with(begins) && text.ends_with(['.', '!', '?']);
        let mut accept = question["accept"].as_array().into_iter().flatten();
        let accepted = accept.any(|words| words.as_str().is_some_and(|words| text.contains(words)));
        if !(ended && sentence && accepted) {
            wrong.push(format!("{}\n    {text}", question["messages"]));
        }
    }
    let right = questions.len() - wrong.len();
    assert!(
        10 * right >= RIGHT_OF_TEN_MIN * questions.len(),
        "{right} of {} right; these are wrong:\n{}",
        questions.len(),
        wrong.join("\n")
    );
    Ok(())
}
