//! `OpenAI`'s Responses: what is told, what is kept, what goes on from what.

use std::time::Duration;

use base::{Prompt, Role};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::{Running, start};

async fn create(running: &Running, body: &Value) -> Value {
    running.post("/v1/responses", body).await.json(200)
}

fn id(response: &Value) -> &str {
    response["id"].as_str().unwrap()
}

/// The turns of the last request, as `role: words`.
fn asked(running: &Running) -> Vec<String> {
    let Prompt::Chat(conversation) = running.gateway.last_request().prompt else {
        panic!("no chat");
    };
    let turns = conversation.messages.into_iter();
    let role = |role| match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    turns
        .map(|turn| format!("{}: {}", role(turn.role), turn.content))
        .collect()
}

#[tokio::test]
async fn a_response_is_kept_and_goes_on() {
    let running = start().await;
    let first = json!({"model": "sprout", "input": "Hi", "instructions": "Be kind.", "metadata": {"a": "b"}});
    let first = create(&running, &first).await;
    assert_eq!(asked(&running), ["system: Be kind.", "user: Hi"]);
    assert_eq!(first["status"], "completed");
    assert_eq!(first["metadata"], json!({"a": "b"}));
    assert_eq!(first["output"][0]["content"][0]["text"], "You said: Hi");
    assert_eq!(first["usage"]["total_tokens"], 4);
    let shown = running.get(&format!("/v1/responses/{}", id(&first))).await;
    assert_eq!(shown.json(200), first);

    let second = json!({"model": "sprout", "input": [{"role": "user", "content": "More"}], "previous_response_id": id(&first)});
    let second = create(&running, &second).await;
    // Instructions are of one response.
    let turns = ["user: Hi", "assistant: You said: Hi", "user: More"];
    assert_eq!(asked(&running), turns);
    let items = running
        .get(&format!("/v1/responses/{}/input_items", id(&second)))
        .await
        .json(200);
    assert_eq!(items["data"][0]["content"][0]["text"], "More");
    assert_eq!(
        (&items["has_more"], &items["first_id"]),
        (&json!(false), &items["data"][0]["id"])
    );

    let path = format!("/v1/responses/{}", id(&first));
    let gone = running.client.send("DELETE", &path, &[], b"").await;
    assert_eq!(gone.json(200)["deleted"], true);
    assert_eq!(running.get(&path).await.status, 404);
    let lost = json!({"model": "sprout", "input": "x", "previous_response_id": id(&first)});
    let lost = running.post("/v1/responses", &lost).await;
    assert_eq!(lost.json(400)["error"]["param"], "previous_response_id");

    let unkept = create(
        &running,
        &json!({"model": "sprout", "input": "x", "store": false}),
    )
    .await;
    assert_eq!(
        running
            .get(&format!("/v1/responses/{}", id(&unkept)))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn the_events_of_a_stream_are_numbered_and_end_with_the_whole() {
    let running = start().await;
    let body = json!({"model": "sprout", "input": "Hi", "stream": true});
    let answer = running.post("/v1/responses", &body).await;
    let events = events(&answer);
    let numbers: Vec<u64> = events
        .iter()
        .map(|event| event["sequence_number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let whole = &events.last().unwrap()["response"];
    assert_eq!(whole["output"][0]["content"][0]["text"], "You said: Hi");
    let broken = json!({"model": "broken", "input": "Hi", "stream": true});
    let broken = running.post("/v1/responses", &broken).await;
    let last = self::events(&broken).pop().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["error"]["code"], "server_error");
}

fn events(answer: &Answer) -> Vec<Value> {
    let data = answer.data();
    data.iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test]
async fn a_response_in_the_background_is_followed_and_cancelled() {
    let running = start().await;
    let body = json!({"model": "sprout", "input": "Hi", "background": true});
    let begun = create(&running, &body).await;
    assert_eq!(begun["status"], "queued");
    let path = format!("/v1/responses/{}", id(&begun));
    let followed = events(&running.get(&format!("{path}?stream=true")).await);
    assert_eq!(followed[1]["type"], "response.queued");
    assert_eq!(followed.last().unwrap()["type"], "response.completed");
    let missed = events(
        &running
            .get(&format!("{path}?stream=true&starting_after=2"))
            .await,
    );
    assert_eq!(missed[0]["sequence_number"], 3);
    assert_eq!(running.get(&path).await.json(200)["status"], "completed");

    let endless = json!({"model": "endless", "input": "Hi", "background": true});
    let endless = create(&running, &endless).await;
    running.gateway.wait_for_running(1).await;
    let path = format!("/v1/responses/{}", id(&endless));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let unfinished = json!({"model": "sprout", "input": "x", "previous_response_id": id(&endless)});
    assert_eq!(running.post("/v1/responses", &unfinished).await.status, 400);
    let cancelled = running.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(cancelled.json(200)["status"], "cancelled");
    running.gateway.wait_for_running(0).await;
    assert_eq!(running.get(&path).await.json(200)["status"], "cancelled");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_place() {
    let running = start().await;
    for (body, param) in [
        (json!({"input": "x"}), "model"),
        (json!({"model": "sprout"}), "input"),
        (
            json!({"model": "sprout", "input": [{"type": "message", "content": "x"}]}),
            "input[0].role",
        ),
        (
            json!({"model": "sprout", "input": [{"role": "user", "content": [{"type": "input_image"}]}]}),
            "input[0].content[0]",
        ),
        (
            json!({"model": "sprout", "input": [{"type": "function_call_output", "output": "x"}]}),
            "input[0].call_id",
        ),
        (
            json!({"model": "sprout", "input": [{"type": "item_reference", "id": "x"}]}),
            "input[0].id",
        ),
        (
            json!({"model": "sprout", "input": "x", "conversation": "conv_1"}),
            "conversation",
        ),
        (
            json!({"model": "sprout", "input": "x", "truncation": "some"}),
            "truncation",
        ),
        (
            json!({"model": "sprout", "input": "x", "top_logprobs": 21}),
            "top_logprobs",
        ),
        (
            json!({"model": "sprout", "input": "x", "text": {"format": {"type": "json_schema"}}}),
            "text.format.schema",
        ),
        (
            json!({"model": "sprout", "input": "x", "reasoning": {"effort": "huge"}}),
            "reasoning.effort",
        ),
        (
            json!({"model": "sprout", "input": "x", "background": true, "store": false}),
            "store",
        ),
        (
            json!({"model": "sprout", "input": "x", "max_output_tokens": 0}),
            "max_output_tokens",
        ),
        (
            json!({"model": "sprout", "input": "x", "tool_choice": "required"}),
            "tool_choice",
        ),
    ] {
        let answer = running.post("/v1/responses", &body).await;
        let json = answer.json(400);
        assert_eq!(json["error"]["param"], param, "{body} {json}");
    }
    let unknown = running
        .post("/v1/responses", &json!({"model": "none", "input": "x"}))
        .await;
    assert_eq!(unknown.status, 404);
    // A tool of a kind that nobody runs is left out.
    let body = json!({"model": "sprout", "input": "x", "tools": [{"type": "web_search"}]});
    create(&running, &body).await;
}

#[tokio::test]
async fn calls_and_thoughts_become_turns_and_back() {
    let running = start().await;
    let body = json!({
        "model": "sprout",
        "tools": [{"type": "function", "name": "now", "parameters": {"type": "object"}}],
        "input": [
            {"role": "user", "content": "When?"},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "now", "arguments": ""},
            {"type": "function_call_output", "call_id": "c1", "output": "noon"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "late"}]},
        ],
    });
    create(&running, &body).await;
    let Prompt::Chat(conversation) = running.gateway.last_request().prompt else {
        panic!("no chat");
    };
    let [user, model, first, second] = &conversation.messages[..] else {
        panic!("{:?}", conversation.messages);
    };
    assert_eq!(
        (user.content.as_str(), model.reasoning.as_str()),
        ("When?", "hm")
    );
    assert_eq!(model.tool_calls.len(), 2);
    assert_eq!(model.tool_calls[1].arguments, "{}");
    assert_eq!(first.tool_call_id.as_deref(), Some("c1"));
    assert_eq!(second.content, "late");
    assert_eq!(conversation.tools[0].name, "now");
}
