//! Anthropic's dialect.

use super::*;
use base::{ErrorCode, Failure, FinishReason, GenerateEvent, Piece, Usage};

const PATH: &str = "/v1/messages";

fn message(fields: &Value) -> Value {
    let mut body = chat(fields);
    if body.get("max_tokens").is_none() {
        body["max_tokens"] = json!(50);
    }
    body
}

fn started() -> GenerateEvent {
    GenerateEvent::Started {
        model: "acme/thinker".into(),
        prompt_tokens: 30,
    }
}

fn says(piece: Piece) -> GenerateEvent {
    GenerateEvent::Delta {
        piece,
        tokens: Vec::new(),
    }
}

/// Thoughts, words and a call.
fn script() -> Vec<Result<GenerateEvent, Failure>> {
    let events = vec![
        started(),
        says(Piece::Reasoning("Hm.".into())),
        says(Piece::Text("I look.".into())),
        says(Piece::ToolCall {
            index: 0,
            name: "get_weather".into(),
        }),
        says(Piece::Arguments {
            index: 0,
            text: "{\"city\": ".into(),
        }),
        says(Piece::Arguments {
            index: 0,
            text: "\"Paris\"}".into(),
        }),
        GenerateEvent::Finished {
            reason: FinishReason::Stop,
            stop: None,
            usage: Usage {
                prompt_tokens: 30,
                cached_tokens: 20,
                completion_tokens: 7,
                reasoning_tokens: 2,
                ..Usage::default()
            },
        },
    ];
    events.into_iter().map(Ok).collect()
}

#[tokio::test]
async fn answers_a_message() {
    let running = start().await;
    let path = "/v1/messages?beta=true";
    let body = message(&json!({"system": "Be brief.", "stop_sequences": ["END"]}));
    let answer = running.post(path, &body).await.json(200);
    assert!(
        answer["id"].as_str().unwrap().starts_with("msg_"),
        "{answer}"
    );
    assert_eq!(answer["model"], "sprout");
    assert_eq!(
        answer["content"],
        json!([{"type": "text", "text": "You said: Hello"}])
    );
    assert_eq!(answer["stop_reason"], "end_turn");
    assert_eq!(answer["usage"]["input_tokens"], 1);
    assert_eq!(answer["usage"]["output_tokens"], 3);
    let asked = running.gateway.last_request();
    assert_eq!(
        (asked.max_tokens, asked.stop),
        (Some(50), vec!["END".to_string()])
    );
    assert!(matches!(asked.prompt, Prompt::Chat(talk) if talk.messages.len() == 2));
}

#[tokio::test]
async fn streams_thoughts_words_and_calls() {
    let running = start().await;
    running.gateway.script(script());
    let body = message(&json!({"model": "scripted", "stream": true}));
    let answer = running.post(PATH, &body).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let events = answer.events();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let block = |deltas: usize| {
        let mut names = vec!["content_block_delta"; deltas];
        names.insert(0, "content_block_start");
        names.push("content_block_stop");
        names
    };
    let expected = [
        vec!["message_start", "ping"],
        block(2),
        block(1),
        block(2),
        vec!["message_delta", "message_stop"],
    ];
    assert_eq!(names, expected.concat());
    for (name, data) in &events {
        assert_eq!(data["type"], *name);
    }
    let (_, end) = &events[events.len() - 2];
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
    assert_eq!(
        end["usage"],
        json!({"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 20, "output_tokens": 7,
               "output_tokens_details": {"thinking_tokens": 2}})
    );
}

#[tokio::test]
async fn answers_with_thoughts_words_and_calls() {
    let running = start().await;
    running.gateway.script(script());
    let body = message(&json!({"model": "scripted"}));
    let answer = running.post(PATH, &body).await.json(200);
    let content = &answer["content"];
    assert_eq!(content[0]["thinking"], "Hm.");
    assert!(content[0]["signature"].is_string());
    assert_eq!(content[1]["text"], "I look.");
    assert_eq!(content[2]["input"], json!({"city": "Paris"}));
    assert!(
        content[2]["id"].as_str().unwrap().starts_with("toolu_"),
        "{content}"
    );
    assert_eq!(answer["stop_reason"], "tool_use");
}

#[tokio::test]
async fn reads_a_prompt_and_says_nothing() {
    let running = start().await;
    running.gateway.script(script());
    let body = message(&json!({"model": "scripted", "max_tokens": 0}));
    let answer = running.post(PATH, &body).await;
    assert!(answer.header("request-id").is_some());
    let answer = answer.json(200);
    assert_eq!(answer["content"], json!([]));
    assert_eq!(answer["stop_reason"], "max_tokens");
    assert_eq!(answer["usage"]["output_tokens"], 0);
    assert_eq!(answer["usage"]["cache_read_input_tokens"], 20);
}

#[tokio::test]
async fn counts_without_generating() {
    let running = start().await;
    let body =
        json!({"model": "sprout", "messages": [{"role": "user", "content": "One two three"}]});
    let path = "/v1/messages/count_tokens";
    let counted = running.post(path, &body).await.json(200);
    assert_eq!(counted, json!({"input_tokens": 3}));
    assert_eq!(running.gateway.last_request().max_tokens, Some(0));
    let refused = running.post(path, &json!({"model": "sprout"})).await;
    assert_eq!(refused.json(400)["type"], "error");
}

#[tokio::test]
async fn an_answer_may_take_what_is_left_of_the_context() {
    let running = start().await;
    let body = message(&json!({"model": "short", "max_tokens": 32000}));
    let answer = running.post(PATH, &body).await.json(200);
    assert_eq!(answer["stop_reason"], "end_turn");
    assert_eq!(running.gateway.last_request().max_tokens, Some(u32::MAX));
    let full = Failure::new(ErrorCode::ContextTooLong, "the prompt has 9 tokens");
    running.gateway.script(vec![Err(full)]);
    let refused = running
        .post(PATH, &message(&json!({"model": "scripted"})))
        .await;
    let error = refused.json(400);
    let said = error["error"]["message"].as_str().unwrap();
    assert!(said.starts_with("prompt is too long: "), "{error}");
}

#[tokio::test]
async fn everything_wrong_has_anthropics_envelope() {
    let running = start().await;
    let json = ("Content-Type", "application/json");
    let version = ("Anthropic-Version", "2023-06-01");
    let big = vec![b' '; (16 << 20) + 1];
    let cases: Vec<Case<'_>> = vec![
        ("GET", PATH, vec![], b"", 405, "invalid_request_error"),
        (
            "POST",
            "/v1/messages/batches",
            vec![json],
            b"{}",
            404,
            "not_found_error",
        ),
        (
            "GET",
            "/v1/models/nope",
            vec![version],
            b"",
            404,
            "not_found_error",
        ),
        (
            "POST",
            PATH,
            vec![json],
            b"{\"model\":",
            400,
            "invalid_request_error",
        ),
        (
            "POST",
            PATH,
            vec![json],
            b"{}",
            400,
            "invalid_request_error",
        ),
        ("POST", PATH, vec![], b"{}", 400, "invalid_request_error"),
        ("POST", PATH, vec![json], &big, 413, "request_too_large"),
        (
            "POST",
            PATH,
            vec![json, ("Origin", "http://evil.example")],
            b"{}",
            403,
            "permission_error",
        ),
    ];
    for (method, path, headers, body, status, kind) in cases {
        let answer = running.client.send(method, path, &headers, body).await;
        let error = answer.json(status);
        assert_eq!(error["type"], "error", "{method} {path}");
        assert_eq!(error["error"]["type"], kind, "{method} {path}");
        assert!(error["error"]["message"].is_string(), "{error}");
        let id = answer.header("request-id");
        assert_eq!(error["request_id"].as_str(), id, "{method} {path}");
        assert!(id.is_some_and(|id| id.starts_with("req_")), "{id:?}");
    }
    let unknown = running
        .post(PATH, &message(&json!({"model": "nope"})))
        .await;
    assert_eq!(unknown.json(404)["error"]["type"], "not_found_error");
    for stream in [true, false] {
        let body = message(&json!({"model": "busy", "stream": stream}));
        let busy = running.post(PATH, &body).await;
        assert_eq!(busy.header("retry-after"), Some("1"));
        assert_eq!(busy.json(429)["error"]["type"], "rate_limit_error");
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_is_an_event() {
    let running = start().await;
    let body = message(&json!({"model": "broken", "stream": true}));
    let events = running.post(PATH, &body).await.events();
    let (name, error) = events.last().unwrap();
    assert_eq!(name, "error");
    assert_eq!(
        *error,
        json!({"type": "error", "error": {"type": "api_error", "message": "a node is gone"}})
    );
    let whole = running
        .post(PATH, &message(&json!({"model": "broken"})))
        .await;
    assert_eq!(whole.json(503)["error"]["type"], "api_error");
}

#[tokio::test]
async fn a_client_that_is_gone_ends_its_generation() {
    let running = start().await;
    for stream in [true, false] {
        let body = message(&json!({"model": "endless", "stream": stream})).to_string();
        let connection = running.client.open("POST", PATH, body.as_bytes()).await;
        running.gateway.wait_for_running(1).await;
        drop(connection);
        running.gateway.wait_for_running(0).await;
    }
}

#[tokio::test]
async fn lists_models_for_whoever_says_which_version() {
    let running = start().await;
    let headers = [("anthropic-version", "2023-06-01"), ("x-api-key", "none")];
    let get = |path| running.client.send("GET", path, &headers, b"");
    let list = get("/v1/models?limit=1000").await.json(200);
    let model = json!({"type": "model", "id": "acme/big-model", "display_name": "acme/big-model", "created_at": "2023-11-14T22:13:20Z", "lifecycle": "active"});
    assert_eq!(list["data"][1], model);
    assert_eq!(list["has_more"], false);
    assert_eq!(list["first_id"], "sprout");
    assert_eq!(list["last_id"], "acme/big-model");
    assert_eq!(get("/v1/models/acme/big-model").await.json(200), model);
    for (query, ids, has_more) in [
        ("/v1/models?limit=1", vec!["sprout"], true),
        (
            "/v1/models?limit=1&after_id=sprout",
            vec!["acme/big-model"],
            false,
        ),
        ("/v1/models?before_id=acme/big-model", vec!["sprout"], false),
        ("/v1/models?after_id=acme/big-model", vec![], false),
    ] {
        let page = get(query).await.json(200);
        let said: Vec<&str> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["id"].as_str().unwrap())
            .collect();
        assert_eq!(
            (said, &page["has_more"]),
            (ids, &json!(has_more)),
            "{query}"
        );
    }
    for query in [
        "/v1/models?limit=0",
        "/v1/models?limit=x",
        "/v1/models?after_id=nope",
        "/v1/models?after_id=sprout&before_id=sprout",
    ] {
        let refused = get(query).await.json(400);
        assert_eq!(refused["error"]["type"], "invalid_request_error", "{query}");
    }
}

#[tokio::test]
async fn calls_are_listed_and_counted() {
    let running = start().await;
    running.post(PATH, &message(&json!({}))).await.json(200);
    let refused = running
        .post(PATH, &message(&json!({"model": "nope"})))
        .await;
    refused.json(404);
    let metrics = running.get("/metrics").await.text();
    for line in [
        "espalier_requests_total{route=\"/v1/messages\",status=\"200\"} 1",
        "espalier_requests_total{route=\"/v1/messages\",status=\"404\"} 1",
        "espalier_generated_tokens_total 3",
    ] {
        assert!(
            metrics.lines().any(|said| said == line),
            "no {line} in\n{metrics}"
        );
    }
    let listed = user_data::calls(&running, |calls| {
        calls.len() == 2 && calls.iter().all(|call| call["duration_ms"].is_number())
    });
    let listed = listed.await;
    let answered = listed.iter().find(|call| call["status"] == 200).unwrap();
    assert_eq!(answered["path"], PATH);
    assert_eq!(answered["model"], "sprout");
    let failed = listed.iter().find(|call| call["status"] == 404).unwrap();
    assert_eq!(failed["error"], "there is no model nope");
}
