//! One node, the embedded model, the API as a client sees it.

use anyhow::Result;
use serde_json::{Value, json};
use tests::nodes::{Node, NodeOptions};

fn sprout() -> Result<Node> {
    Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })
}

fn chat(question: &str) -> Value {
    json!({"model": "sprout", "temperature": 0, "messages": [{"role": "user", "content": question}]})
}

#[test]
fn answers_a_chat_streamed_and_not() -> Result<()> {
    let node = sprout()?;
    let mut request = chat("What is Espalier?");
    let (status, answer) = node.api().post("/v1/chat/completions", &request)?;
    assert_eq!(status, 200, "{answer}");
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["role"], "assistant");
    let text = message["content"].as_str().unwrap();
    assert!(text.contains("Espalier"), "{text}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
    let usage = &answer["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(
        count("prompt_tokens") + count("completion_tokens"),
        count("total_tokens")
    );

    request["stream"] = true.into();
    let streamed = node
        .api()
        .stream("/v1/chat/completions", &request, |_| ())?;
    assert_eq!(streamed.text, text);
    assert_eq!(streamed.finish_reason.as_deref(), Some("stop"));
    assert!(streamed.arrivals.len() > 3, "the answer came in one piece");
    Ok(())
}

#[test]
fn the_seed_decides_a_sampled_answer() -> Result<()> {
    let node = sprout()?;
    let answer = |seed: u64| {
        let body = json!({"model": "sprout", "prompt": "Tell me", "max_tokens": 24, "temperature": 1.5, "seed": seed});
        node.api()
            .post("/v1/completions", &body)
            .map(|(_, answer)| answer["choices"][0]["text"].to_string())
    };
    assert_eq!(answer(1)?, answer(1)?);
    let different = (2..8)
        .map(answer)
        .collect::<Result<std::collections::BTreeSet<_>>>()?;
    assert!(different.len() > 3, "seeds hardly matter: {different:?}");
    Ok(())
}

#[test]
fn stop_strings_and_length_end_an_answer() -> Result<()> {
    let node = sprout()?;
    let whole = node.api().complete("sprout", &json!("Espalier is"), 24)?;
    let stop: String = whole.chars().skip(6).take(4).collect();
    let body = json!({"model": "sprout", "prompt": "Espalier is", "max_tokens": 24, "temperature": 0, "stop": [stop]});
    let (_, answer) = node.api().post("/v1/completions", &body)?;
    let expected = whole.split(&stop).next().unwrap();
    assert_eq!(answer["choices"][0]["text"], expected, "{answer}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");

    let body = json!({"model": "sprout", "prompt": "Espalier is", "max_tokens": 3, "temperature": 0, "ignore_eos": true});
    let (_, answer) = node.api().post("/v1/completions", &body)?;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 3);
    Ok(())
}

#[test]
fn answers_many_at_once_as_it_answers_one() -> Result<()> {
    let node = sprout()?;
    let questions = [
        "What is a shard?",
        "Count from 3 to 9.",
        "Who are you?",
        "What day comes after Monday?",
        "Hello!",
    ];
    let ask = |question: &str| -> Result<Value> {
        let (_, answer) = node.api().post("/v1/chat/completions", &chat(question))?;
        Ok(answer["choices"][0]["message"]["content"].clone())
    };
    let alone: Vec<Value> = questions
        .iter()
        .map(|question| ask(question))
        .collect::<Result<_>>()?;
    let together: Vec<Value> = std::thread::scope(|scope| {
        let threads: Vec<_> = questions
            .iter()
            .map(|question| scope.spawn(|| ask(question)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Result<_>>()
    })?;
    assert_eq!(together, alone);
    Ok(())
}

#[test]
fn a_client_that_hangs_up_frees_its_place() -> Result<()> {
    let node = sprout()?;
    let body = json!({"model": "sprout", "prompt": "Count", "max_tokens": 900, "temperature": 0,
                      "ignore_eos": true, "stream": true});
    // Many more than there can be slots: were they not freed, the last request would wait for all of them.
    for _ in 0..40 {
        node.api().hang_up_after("/v1/completions", &body, 2)?;
    }
    let start = std::time::Instant::now();
    node.api().complete("sprout", &json!("Hello"), 4)?;
    assert!(
        start.elapsed().as_secs_f64() < 3.0,
        "took {:?}",
        start.elapsed()
    );
    Ok(())
}

#[test]
fn errors_come_in_the_envelope_of_the_dialect() -> Result<()> {
    let node = sprout()?;
    let (status, answer) = node.api().post(
        "/v1/chat/completions",
        &json!({"model": "nope", "messages": [{"role": "user", "content": "x"}]}),
    )?;
    assert_eq!(status, 404, "{answer}");
    assert_eq!(answer["error"]["code"], "model_not_found");
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("sprout"),
        "no hint of what there is: {answer}"
    );
    let (status, answer) = node.api().get("/v1/nothing")?;
    assert_eq!(
        (status, answer["error"]["type"].is_string()),
        (404, true),
        "{answer}"
    );
    let (status, answer) = node.api().post(
        "/v1/chat/completions",
        &json!({"model": "sprout", "messages": []}),
    )?;
    assert_eq!(status, 400, "{answer}");
    assert_eq!(answer["error"]["param"], "messages");
    let too_long = vec![5; 100_000];
    let (status, answer) = node.api().post(
        "/v1/completions",
        &json!({"model": "sprout", "prompt": too_long}),
    )?;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (400, &json!("context_length_exceeded")),
        "{answer}"
    );
    let (status, answer) = node.api().post(
        "/v1/completions",
        &json!({"model": "sprout", "prompt": [4_000_000]}),
    )?;
    assert_eq!(status, 400, "{answer}");
    Ok(())
}

#[test]
fn scores_a_prompt_without_generating() -> Result<()> {
    let node = sprout()?;
    let body = json!({"model": "sprout", "prompt": [5, 6, 7, 8, 9], "echo": true, "logprobs": 3, "max_tokens": 0});
    let (status, answer) = node.api().post("/v1/completions", &body)?;
    assert_eq!(status, 200, "{answer}");
    let logprobs = &answer["choices"][0]["logprobs"];
    let values = logprobs["token_logprobs"].as_array().unwrap();
    assert_eq!(values.len(), 5);
    assert!(values[0].is_null());
    assert!(
        values[1..]
            .iter()
            .all(|value| value.as_f64().unwrap() <= 0.0),
        "{logprobs}"
    );
    assert_eq!(
        logprobs["top_logprobs"][1].as_object().unwrap().len(),
        3,
        "{logprobs}"
    );
    assert_eq!(answer["usage"]["completion_tokens"], 0);
    Ok(())
}
