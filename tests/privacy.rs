//! What clients say stays between them and the model: no log and no list of the node repeats it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::nodes::{Node, NodeOptions};

/// In everything that a client says.
const MARK: &str = "xylophone-7741";

/// Bodies that are answered, refused in every way there is, or no JSON at all.
fn said() -> Vec<(&'static str, String)> {
    let user = json!([{"role": "user", "content": MARK}]);
    let chat = |more: Value| {
        let mut body = json!({"model": "sprout", "messages": user, "max_tokens": 3});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        ("/v1/chat/completions", body.to_string())
    };
    let long = MARK.repeat(20_000);
    vec![
        chat(json!({})),
        chat(json!({"stream": true})),
        chat(json!({"stop": MARK})),
        chat(json!({"messages": MARK})),
        chat(json!({"messages": [{"role": "user", "content": long}]})),
        chat(json!({"messages": [{"role": "user", "content": {"text": MARK}}]})),
        chat(json!({"temperature": MARK})),
        chat(
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"const": MARK}}}}),
        ),
        ("/v1/chat/completions", format!("{{\"messages\": \"{MARK}")),
        ("/v1/chat/completions", MARK.to_owned()),
        (
            "/v1/completions",
            json!({"model": "sprout", "prompt": MARK, "max_tokens": 3}).to_string(),
        ),
        (
            "/v1/completions",
            json!({"model": "sprout", "prompt": {"a": MARK}}).to_string(),
        ),
        (
            "/v1/messages",
            json!({"model": "sprout", "max_tokens": 3, "system": MARK, "messages": user})
                .to_string(),
        ),
        (
            "/v1/messages",
            json!({"model": "sprout", "max_tokens": MARK, "messages": user}).to_string(),
        ),
        (
            "/v1/responses",
            json!({"model": "sprout", "input": MARK, "max_output_tokens": 16}).to_string(),
        ),
        (
            "/v1/responses",
            json!({"model": "sprout", "input": 5, "instructions": MARK}).to_string(),
        ),
    ]
}

/// One request as bytes, with a secret in its headers too; what comes back is not looked at.
fn send(port: u16, path: &str, body: &str) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "POST {path}?q={MARK} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {MARK}\r\nX-Api-Key: {MARK}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
    Ok(())
}

#[test]
fn no_log_and_no_list_repeats_what_clients_say() -> Result<()> {
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        log: Some("trace".into()),
        ..NodeOptions::default()
    })?;
    for (path, body) in said() {
        send(node.port, path, &body)?;
    }
    let (_, made) = node
        .api()
        .post("/admin/api-keys", &json!({"name": "laptop"}))?;
    let key = made["key"].as_str().context("key")?.to_owned();
    let file = fs::read_to_string(node.data().join("logs/espalier.log")).unwrap_or_default();
    let logs = node.api().get("/admin/logs")?.1.to_string();
    let state = node.api().state()?.to_string();
    let calls = node.api().first_event("/admin/calls")?;
    assert!(calls.contains("/v1/chat/completions"), "{calls}");
    assert!(node.log().contains("TRACE"), "it logs everything");
    for (what, text) in [
        ("standard error", node.log()),
        ("the log file", file),
        ("/admin/logs", logs),
        ("/admin/state", state),
        ("/admin/calls", calls),
    ] {
        for secret in [MARK, &key] {
            let at = text.find(secret);
            let around = at.map(|at| &text[at.saturating_sub(200)..at + secret.len()]);
            assert_eq!(around, None, "in {what}");
        }
    }
    Ok(())
}
