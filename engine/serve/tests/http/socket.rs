//! Responses over a WebSocket, and conversations made short.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;

struct Talk(WebSocketStream<TcpStream>);

impl Talk {
    async fn open(running: &Running) -> Self {
        let address = running.client.address;
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/v1/responses");
        Self(client_async(url, stream).await.unwrap().0)
    }

    async fn say(&mut self, mut fields: Value) {
        fields["type"] = json!("response.create");
        self.0
            .send(Message::text(fields.to_string()))
            .await
            .unwrap();
    }

    /// What is told up to the end of a response or an error.
    async fn told(&mut self) -> Vec<Value> {
        let mut told = Vec::new();
        loop {
            let Message::Text(text) = self.0.next().await.unwrap().unwrap() else {
                continue;
            };
            let event: Value = serde_json::from_str(&text).unwrap();
            let kind = event["type"].as_str().unwrap().to_owned();
            told.push(event);
            if ["response.completed", "response.failed", "error"].contains(&kind.as_str()) {
                return told;
            }
        }
    }

    async fn last(&mut self, fields: Value) -> Value {
        self.say(fields).await;
        self.told().await.pop().unwrap()
    }
}

fn turns(running: &Running) -> Vec<String> {
    let asked = running.gateway.last_request();
    let messages = &asked.prompt.conversation().unwrap().messages;
    messages.iter().map(|turn| turn.content.clone()).collect()
}

#[tokio::test]
async fn responses_follow_each_other_on_a_connection() {
    let running = start().await;
    let mut talk = Talk::open(&running).await;
    // The second is said while the first is under way.
    talk.say(json!({"model": "sprout", "store": false, "input": "one"}))
        .await;
    talk.say(json!({"model": "sprout", "input": "two"})).await;
    let first = talk.told().await;
    let kinds: Vec<_> = first
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        (kinds[0], kinds[1]),
        ("response.created", "response.in_progress")
    );
    let first = &first.last().unwrap()["response"];
    assert_eq!(first["output"][0]["content"][0]["text"], "You said: one");
    let second = talk.told().await.pop().unwrap();
    // The first is not stored, and its own connection knows it.
    let goes_on = |id: &Value| json!({"model": "sprout", "store": false, "input": "three", "previous_response_id": id});
    let third = talk.last(goes_on(&first["id"])).await;
    assert_eq!(turns(&running), ["one", "You said: one", "three"]);
    let mut other = Talk::open(&running).await;
    let unknown = other.last(goes_on(&third["response"]["id"])).await;
    assert_eq!(
        (&unknown["status"], &unknown["error"]["code"]),
        (&json!(400), &json!("previous_response_not_found"))
    );
    other.last(goes_on(&second["response"]["id"])).await;
    assert_eq!(turns(&running), ["two", "You said: two", "three"]);
}

#[tokio::test]
async fn what_failed_is_not_gone_on_from() {
    let running = start().await;
    let mut talk = Talk::open(&running).await;
    let first = talk
        .last(json!({"model": "sprout", "store": false, "input": "one"}))
        .await;
    let id = &first["response"]["id"];
    let output = json!([{"type": "function_call_output", "call_id": "none", "output": "x"}]);
    let failed = talk
        .last(
            json!({"model": "sprout", "store": false, "previous_response_id": id, "input": output}),
        )
        .await;
    assert!(
        failed["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("No tool call found"),
        "{failed}"
    );
    let again = talk
        .last(
            json!({"model": "sprout", "store": false, "previous_response_id": id, "input": "two"}),
        )
        .await;
    assert_eq!(again["error"]["code"], "previous_response_not_found");
    for wrong in [
        "{",
        "{}",
        r#"{"type": "response.create"}"#,
        r#"{"type": "response.create", "background": true, "input": "x", "model": "m"}"#,
    ] {
        talk.0.send(Message::text(wrong)).await.unwrap();
        let error = talk.told().await.pop().unwrap();
        assert_eq!(
            (&error["type"], &error["status"]),
            (&json!("error"), &json!(400)),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn who_hangs_up_ends_a_response() {
    let running = start().await;
    let mut talk = Talk::open(&running).await;
    talk.say(json!({"model": "endless", "input": "one two"}))
        .await;
    running.gateway.wait_for_running(1).await;
    drop(talk);
    running.gateway.wait_for_running(0).await;
    // What asks for no WebSocket is told what to do.
    let refused = running.get("/v1/responses").await.json(405);
    assert_eq!(refused["error"]["code"], "method_not_allowed");
}

#[tokio::test]
async fn a_conversation_in_short() {
    let running = start().await;
    let input = json!([{"role": "user", "content": "We launch on Tuesday."}]);
    let body = json!({"model": "sprout", "instructions": "Be brief.", "input": input});
    let short = running.post("/v1/responses/compact", &body).await.json(200);
    assert_eq!(short["object"], "response.compaction");
    assert_eq!(short["output"][0]["type"], "compaction");
    assert!(short["usage"]["total_tokens"].as_u64().unwrap() > 0);
    let asked = turns(&running);
    assert_eq!(asked[..2], ["Be brief.", "We launch on Tuesday."]);
    let mut input = short["output"].as_array().unwrap().clone();
    input.push(json!({"role": "user", "content": "When?"}));
    let body = json!({"model": "sprout", "input": input});
    running.post("/v1/responses", &body).await.json(200);
    let [summary, question] = &turns(&running)[..] else {
        panic!("two turns");
    };
    // The gateway of the tests quotes what it is asked.
    assert!(
        summary.contains("in short:\nYou said: Write a summary"),
        "{summary}"
    );
    assert_eq!(question, "When?");
    let body = json!({"input": "x"});
    running.post("/v1/responses/compact", &body).await.json(400);
}
