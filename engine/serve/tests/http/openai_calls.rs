//! The forms in which `OpenAI`'s chat has calls: tools, tools that take text, functions as before, some of many.

use base::{FinishReason, GenerateEvent, Piece, Prompt, Role, ToolChoice, Usage};
use serde_json::{Value, json};

use crate::{Running, start};

/// An answer that calls `name` with these arguments.
fn calls(name: &str, arguments: &[&str]) -> Vec<Result<GenerateEvent, base::Failure>> {
    let delta = |piece| GenerateEvent::Delta {
        piece,
        tokens: Vec::new(),
    };
    let started = GenerateEvent::Started {
        model: "scripted".into(),
        prompt_tokens: 3,
    };
    let call = Piece::ToolCall {
        index: 0,
        name: name.into(),
    };
    let pieces = arguments.iter().map(|text| Piece::Arguments {
        index: 0,
        text: (*text).into(),
    });
    let end = GenerateEvent::Finished {
        reason: FinishReason::Stop,
        stop: None,
        usage: Usage::default(),
    };
    let pieces = std::iter::once(call).chain(pieces).map(delta);
    let events = std::iter::once(started).chain(pieces).chain([end]);
    events.map(Ok).collect()
}

async fn chat(running: &Running, body: &Value) -> Value {
    let mut body = body.clone();
    body["model"] = "scripted".into();
    if body["messages"].is_null() {
        body["messages"] = json!([{"role": "user", "content": "x"}]);
    }
    let answer = running.post("/v1/chat/completions", &body).await;
    answer.json(200)["choices"][0].take()
}

/// The deltas of a stream.
async fn deltas(running: &Running, body: &Value) -> Vec<Value> {
    let mut body = body.clone();
    body["model"] = "scripted".into();
    body["stream"] = true.into();
    body["messages"] = json!([{"role": "user", "content": "x"}]);
    let data = running.post("/v1/chat/completions", &body).await.data();
    let chunks = data.iter().filter(|data| *data != "[DONE]");
    chunks
        .map(|chunk| serde_json::from_str::<Value>(chunk).unwrap()["choices"][0].take())
        .collect()
}

fn asked(running: &Running) -> base::Conversation {
    let Prompt::Chat(conversation) = running.gateway.last_request().prompt else {
        panic!("no chat");
    };
    conversation
}

#[tokio::test]
async fn functions_as_they_were_called_before_tools() {
    let running = start().await;
    running
        .gateway
        .script(calls("now", &["{\"zone\":", "\"UTC\"}"]));
    let body = json!({
        "functions": [{"name": "now", "parameters": {"type": "object"}}], "function_call": {"name": "now"},
        "messages": [
            {"role": "user", "content": "When?"},
            {"role": "assistant", "content": null, "function_call": {"name": "now", "arguments": "{}"}},
            {"role": "function", "name": "now", "content": "noon"},
        ],
    });
    let choice = chat(&running, &body).await;
    let call = json!({"name": "now", "arguments": "{\"zone\":\"UTC\"}"});
    assert_eq!(choice["message"]["function_call"], call);
    assert_eq!(choice["message"]["content"], Value::Null);
    assert_eq!(choice["message"].get("tool_calls"), None);
    assert_eq!(choice["finish_reason"], "function_call");
    let conversation = asked(&running);
    assert_eq!(conversation.tool_choice, ToolChoice::Named("now".into()));
    assert!(!conversation.parallel_tool_calls);
    let [_, model, result] = &conversation.messages[..] else {
        panic!("{conversation:?}");
    };
    assert_eq!(result.role, Role::Tool);
    assert_eq!(result.tool_call_id.as_ref(), Some(&model.tool_calls[0].id));

    let functions = json!({"functions": [{"name": "now"}]});
    let deltas = deltas(&running, &functions).await;
    assert_eq!(
        deltas[1]["delta"]["function_call"],
        json!({"name": "now", "arguments": ""})
    );
    assert_eq!(
        deltas[2]["delta"]["function_call"],
        json!({"arguments": "{\"zone\":"})
    );
    assert_eq!(deltas.last().unwrap()["finish_reason"], "function_call");
}

#[tokio::test]
async fn tools_that_take_text() {
    let running = start().await;
    running
        .gateway
        .script(calls("run", &["{\"input\": \"a \\\"", "b\\\"\"}"]));
    let body = json!({
        "tools": [{"type": "custom", "custom": {"name": "run", "description": "Runs it."}}],
        "tool_choice": {"type": "custom", "custom": {"name": "run"}},
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "run", "input": "é"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
        ],
    });
    let choice = chat(&running, &body).await;
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["type"], "custom");
    assert_eq!(call["custom"], json!({"name": "run", "input": "a \"b\""}));
    assert_eq!(choice["finish_reason"], "tool_calls");
    let conversation = asked(&running);
    assert_eq!(
        conversation.messages[1].tool_calls[0].arguments,
        r#"{"input":"é"}"#
    );
    assert!(conversation.tools[0].parameters.contains("\"input\""));

    let tools = json!({"tools": [{"type": "custom", "custom": {"name": "run"}}]});
    let deltas = deltas(&running, &tools).await;
    let begun = &deltas[1]["delta"]["tool_calls"][0];
    assert_eq!(
        (&begun["type"], &begun["index"]),
        (&json!("custom"), &json!(0))
    );
    assert_eq!(begun["custom"], json!({"name": "run", "input": ""}));
    let rest = json!([{"index": 0, "custom": {"input": "a \"b\""}}]);
    assert_eq!(deltas[2]["delta"]["tool_calls"], rest);
    assert_eq!(deltas[3]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn some_of_many_tools() {
    let running = start().await;
    running.gateway.script(calls("b", &["{}"]));
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let body = json!({
        "tools": [tool("a"), tool("b"), tool("c")],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool("b"), tool("c")]}},
    });
    chat(&running, &body).await;
    let conversation = asked(&running);
    assert_eq!(conversation.tool_choice, ToolChoice::Required);
    let names: Vec<&str> = conversation
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    assert_eq!(names, ["b", "c"]);
}

#[tokio::test]
async fn test_reproduce_a_call_that_broke_off_ends_no_conversation() {
    let running = start().await;
    running.gateway.script(calls("now", &["{}"]));
    let call = |arguments: &str| json!({"id": "c1", "type": "function", "function": {"name": "now", "arguments": arguments}});
    for (arguments, kept) in [
        ("{\"zone\": \"U", r#"{"input":"{\"zone\": \"U"}"#),
        ("", "{}"),
        ("{\"a\":1}", "{\"a\":1}"),
    ] {
        let body = json!({"messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [call(arguments)]},
            {"role": "tool", "tool_call_id": "c1", "content": "no"},
        ]});
        chat(&running, &body).await;
        assert_eq!(asked(&running).messages[1].tool_calls[0].arguments, kept);
    }
}

#[tokio::test]
async fn what_cannot_be_called_is_refused_with_its_place() {
    let running = start().await;
    let lark =
        json!({"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: \"a\""}});
    let custom = json!([{"type": "custom", "custom": {"name": "run", "format": lark}}]);
    let function = json!([{"type": "function", "function": {"name": "now"}}]);
    for (fields, param) in [
        (
            json!({"tools": function, "functions": [{"name": "now"}]}),
            "functions",
        ),
        (
            json!({"functions": [{"name": "now"}], "function_call": {"name": "then"}}),
            "tool_choice",
        ),
        (
            json!({"tools": custom, "tool_choice": "required"}),
            "tool_choice",
        ),
        (json!({"tools": [{"type": "custom"}]}), "tools[0].custom"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (
            json!({"tools": function, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "all"}}}),
            "tool_choice.allowed_tools.mode",
        ),
    ] {
        let answer = running
            .post("/v1/chat/completions", &crate::chat(&fields))
            .await;
        assert_eq!(answer.json(400)["error"]["param"], param, "{fields}");
    }
    // The model may choose to call it: then it is told of the grammar.
    running
        .post(
            "/v1/chat/completions",
            &crate::chat(&json!({"tools": custom})),
        )
        .await
        .json(200);
    assert!(
        asked(&running).tools[0]
            .description
            .as_ref()
            .unwrap()
            .contains("start: \"a\"")
    );
}

#[tokio::test]
async fn what_the_system_says_first_is_one_turn() {
    let running = start().await;
    running.gateway.script(calls("now", &["{}"]));
    let turn = |role: &str, content: &str| json!({"role": role, "content": content});
    let body = json!({"messages": [
        turn("developer", "One."), turn("system", "Two."), turn("user", "x"), turn("system", "Three."), turn("system", "Four."),
    ]});
    chat(&running, &body).await;
    let turns = asked(&running).messages;
    assert_eq!(turns[0].content, "One.\n\nTwo.");
    assert_eq!(turns.len(), 4);
}
