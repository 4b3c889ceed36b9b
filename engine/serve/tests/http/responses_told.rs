//! How a response is told: thoughts and summaries, calls with text, tokens, what is too long.

use base::{Failure, FinishReason, GenerateEvent, Piece, Prompt, ScoredToken, ToolChoice, Usage};
use serde_json::{Value, json};

use crate::{Running, start};

type Script = Vec<Result<GenerateEvent, Failure>>;

fn script(pieces: Vec<Piece>, reason: FinishReason) -> Script {
    let started = GenerateEvent::Started {
        model: "scripted".into(),
        prompt_tokens: 3,
    };
    let deltas = pieces.into_iter().map(|piece| GenerateEvent::Delta {
        piece,
        tokens: Vec::new(),
    });
    let end = GenerateEvent::Finished {
        reason,
        stop: None,
        usage: Usage::default(),
    };
    let events = std::iter::once(started).chain(deltas).chain([end]);
    events.map(Ok).collect()
}

/// The events that a request to the scripted model is told.
async fn events(running: &Running, fields: &Value) -> Vec<Value> {
    let mut body = json!({"model": "scripted", "input": "x", "stream": true});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    let answer = running.post("/v1/responses", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let data = answer.data();
    data.iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

fn thinks_and_says() -> Script {
    let pieces = vec![
        Piece::Reasoning("hm".into()),
        Piece::Reasoning("m".into()),
        Piece::Text("Yes".into()),
    ];
    script(pieces, FinishReason::Stop)
}

#[tokio::test]
async fn thoughts_come_as_they_are_or_as_a_summary() {
    let running = start().await;
    running.gateway.script(thinks_and_says());
    let told = events(&running, &json!({})).await;
    assert_eq!(
        kinds(&told)[2..9],
        [
            "response.output_item.added",
            "response.content_part.added",
            "response.reasoning_text.delta",
            "response.reasoning_text.delta",
            "response.reasoning_text.done",
            "response.content_part.done",
            "response.output_item.done",
        ]
    );
    let output = &told.last().unwrap()["response"]["output"];
    assert_eq!(
        output[0]["content"][0],
        json!({"type": "reasoning_text", "text": "hmm"})
    );
    assert_eq!(output[0].get("encrypted_content"), None);
    assert_eq!(output[1]["content"][0]["text"], "Yes");

    let fields = json!({"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"], "store": false});
    let told = events(&running, &fields).await;
    assert_eq!(
        kinds(&told)[2..9],
        [
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
        ]
    );
    assert_eq!(told[4]["summary_index"], 0);
    let mut thought = told[8]["item"].clone();
    assert_eq!(
        thought["summary"],
        json!([{"type": "summary_text", "text": "hmm"}])
    );
    // Sent back with nothing but what only this server reads, it is the same thought.
    thought["summary"] = json!([]);
    let again = json!({"input": [{"role": "user", "content": "x"}, thought, {"role": "user", "content": "And?"}]});
    events(&running, &again).await;
    let Prompt::Chat(conversation) = running.gateway.last_request().prompt else {
        panic!("no chat");
    };
    assert_eq!(conversation.messages[1].reasoning, "hmm");
}

#[tokio::test]
async fn calls_with_text() {
    let running = start().await;
    let pieces = vec![
        Piece::ToolCall {
            index: 0,
            name: "patch".into(),
        },
        Piece::Arguments {
            index: 0,
            text: "{\"input\":".into(),
        },
        Piece::Arguments {
            index: 0,
            text: "\"+ a\"}".into(),
        },
    ];
    running.gateway.script(script(pieces, FinishReason::Stop));
    let tools = json!([
        {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: \"+\""}},
        {"type": "function", "name": "shell"},
        {"type": "namespace", "name": "mcp", "tools": []},
    ]);
    let told = events(&running, &json!({"tools": tools})).await;
    assert_eq!(
        kinds(&told)[2..],
        [
            "response.output_item.added",
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let call = &told[5]["item"];
    assert_eq!(
        (&call["type"], &call["input"]),
        (&json!("custom_tool_call"), &json!("+ a"))
    );
    // The next turn: the call by its id alone, and what came of it.
    let next = json!({
        "tools": tools, "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "shell"}]},
        "input": [
            {"type": "item_reference", "id": call["id"]},
            {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "ok"},
        ],
    });
    events(&running, &next).await;
    let Prompt::Chat(conversation) = running.gateway.last_request().prompt else {
        panic!("no chat");
    };
    assert_eq!(
        conversation.messages[0].tool_calls[0].arguments,
        r#"{"input":"+ a"}"#
    );
    assert_eq!(conversation.messages[1].content, "ok");
    assert_eq!(conversation.tool_choice, ToolChoice::Required);
    assert_eq!(conversation.tools.len(), 1);
}

#[tokio::test]
async fn who_says_nothing_says_an_empty_message() {
    let running = start().await;
    running
        .gateway
        .script(script(Vec::new(), FinishReason::Stop));
    let told = events(&running, &json!({})).await;
    let output = &told.last().unwrap()["response"]["output"];
    assert_eq!(output[0]["content"][0]["text"], "");
    running
        .gateway
        .script(script(Vec::new(), FinishReason::Length));
    let told = events(&running, &json!({})).await;
    assert_eq!(told.last().unwrap()["response"]["output"], json!([]));
    assert_eq!(told.last().unwrap()["type"], "response.incomplete");
}

#[tokio::test]
async fn tokens_come_with_their_log_probabilities() {
    let running = start().await;
    let token = |text: &str| ScoredToken {
        token: 1,
        bytes: text.as_bytes().to_vec(),
        logprob: Some(-0.5),
        top: vec![(1, text.as_bytes().to_vec(), -0.5)],
    };
    let mut events = thinks_and_says();
    events[3] = Ok(GenerateEvent::Delta {
        piece: Piece::Text("Yes".into()),
        tokens: vec![token("Y"), token("es")],
    });
    running.gateway.script(events);
    let fields = json!({"include": ["message.output_text.logprobs"], "top_logprobs": 1});
    let told = self::events(&running, &fields).await;
    assert_eq!(running.gateway.last_request().logprobs, Some(1));
    let delta = told
        .iter()
        .find(|event| event["type"] == "response.output_text.delta")
        .unwrap();
    assert_eq!(delta["logprobs"][1]["token"], "es");
    assert_eq!(delta["logprobs"][0]["top_logprobs"][0]["token"], "Y");
    let output = &told.last().unwrap()["response"]["output"];
    assert_eq!(
        output[1]["content"][0]["logprobs"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn what_is_too_long_is_told_or_made_shorter() {
    let running = start().await;
    let turn = |role: &str, content: &str| json!({"role": role, "content": content});
    let input = json!([
        turn("system", "Be brief."),
        turn("user", "1"),
        turn("assistant", "2"),
        turn("user", "3"),
        turn("assistant", "4"),
        turn("user", "5"),
    ]);
    let mut body = json!({"model": "narrow", "input": input});
    let refused = running.post("/v1/responses", &body).await;
    assert_eq!(
        refused.json(400)["error"]["code"],
        "context_length_exceeded"
    );
    let told = events(&running, &json!({"model": "narrow", "input": input})).await;
    assert_eq!(
        kinds(&told),
        [
            "response.created",
            "response.in_progress",
            "response.failed"
        ]
    );
    assert_eq!(
        told[2]["response"]["error"]["code"],
        "context_length_exceeded"
    );

    body["truncation"] = "auto".into();
    running.post("/v1/responses", &body).await.json(200);
    let Prompt::Chat(conversation) = running.gateway.last_request().prompt else {
        panic!("no chat");
    };
    let left: Vec<&str> = conversation
        .messages
        .iter()
        .map(|turn| turn.content.as_str())
        .collect();
    assert_eq!(left, ["Be brief.", "4", "5"]);
}

#[tokio::test]
async fn input_is_counted_and_not_answered() {
    let running = start().await;
    let body = json!({"model": "endless", "input": "one two three"});
    let counted = running
        .post("/v1/responses/input_tokens", &body)
        .await
        .json(200);
    assert_eq!(
        counted,
        json!({"object": "response.input_tokens", "input_tokens": 3})
    );
    running.gateway.wait_for_running(0).await;
}

#[tokio::test]
async fn settings_are_repeated_with_all_their_fields() {
    let running = start().await;
    let schema = json!({"type": "object"});
    let body = json!({
        "model": "sprout", "input": "x", "tools": [{"type": "function", "name": "now"}],
        "text": {"format": {"type": "json_schema", "name": "any", "schema": schema}},
    });
    let response = running.post("/v1/responses", &body).await.json(200);
    let tool = json!({"type": "function", "name": "now", "description": null, "parameters": null, "strict": false});
    assert_eq!(response["tools"][0], tool);
    let format = json!({"type": "json_schema", "name": "any", "schema": schema, "description": null, "strict": false});
    assert_eq!(response["text"]["format"], format);
}
