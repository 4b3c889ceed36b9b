//! What the node keeps for its user, and the list of recent calls.

use super::*;

#[tokio::test]
async fn keeps_conversations() {
    let running = start().await;
    let json = [("Content-Type", "application/json")];
    let path = "/admin/conversations/0f-1";
    let put = |body: &'static [u8]| running.client.send("PUT", path, &json, body);
    running.get(path).await.json(404);
    let body = br#"{"title": "Trees", "changed_ms": 5, "content": {"model": "sprout"}}"#;
    assert_eq!(put(body).await.status, 204);
    let kept = running.get(path).await.json(200);
    assert_eq!(kept["content"], json!({"model": "sprout"}));
    let listed = running.get("/admin/conversations").await.json(200);
    let summary = json!({"id": "0f-1", "title": "Trees", "changed_ms": 5});
    assert_eq!(listed["conversations"], json!([summary]));
    put(br#"{"title": "Trees", "changed_ms": -5, "content": 1}"#)
        .await
        .json(400);
    let delete = running.client.send("DELETE", path, &[], b"").await;
    assert_eq!(delete.status, 204);
    running.get(path).await.json(404);
    for wrong in ["..%2Froster", "A", "a.json"] {
        let path = format!("/admin/conversations/{wrong}");
        running.get(&path).await.json(400);
    }
}

#[tokio::test]
async fn makes_and_removes_keys() {
    let running = start().await;
    let wish = json!({"name": " laptop "});
    let made = running.post("/admin/api-keys", &wish).await.json(201);
    assert_eq!(made["key"], "espalier-laptop");
    let shown = running.get("/admin/api-keys").await.json(200);
    let key = json!({"id": "laptop", "name": "laptop", "created_ms": 7, "scope": "use"});
    assert_eq!(shown["keys"], json!([key]));
    let nameless = running.post("/admin/api-keys", &json!({"name": " "})).await;
    assert_eq!(nameless.json(400)["error"]["code"], "invalid_request");
    let path = "/admin/api-keys/laptop";
    let removed = running.client.send("DELETE", path, &[], b"").await;
    assert_eq!(removed.status, 204);
    let shown = running.get("/admin/api-keys").await.json(200);
    assert_eq!(shown["keys"], json!([]));
}

/// The list as soon as it fulfils `wanted`.
pub async fn calls(running: &Running, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut stream = running.client.open("GET", "/admin/calls", b"").await;
    let mut text = String::new();
    loop {
        text += &stream.until("\n\n").await;
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let mut whole = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let latest = whole.next_back().unwrap_or_default();
        let latest = latest["calls"].as_array().cloned().unwrap_or_default();
        if wanted(&latest) {
            return latest;
        }
    }
}

#[tokio::test]
async fn lists_recent_calls() {
    let running = start().await;
    running.get("/admin/state").await.json(200);
    let body = chat(&json!({"stream": true})).to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", "OpenAI/Python 1.90.0"),
    ];
    let path = "/v1/chat/completions";
    let answer = running.client.send("POST", path, &headers, body.as_bytes());
    answer.await;
    running.post_bytes(path, b"{").await.json(400);
    let endless = chat(&json!({"model": "endless", "stream": true})).to_string();
    let open = running.client.open("POST", path, endless.as_bytes()).await;
    let three = calls(&running, |calls| {
        calls.len() == 3 && calls[2]["model"] == "endless"
    })
    .await;
    assert_eq!(three[0]["client"], "OpenAI/Python");
    assert_eq!(three[0]["model"], "sprout");
    assert_eq!(three[0]["status"], 200);
    assert_eq!(three[0]["completion_tokens"], 3);
    assert!(three[0]["duration_ms"].is_u64(), "{}", three[0]);
    assert_eq!(three[0]["from"], Value::Null);
    assert_eq!(three[1]["status"], 400);
    let error = three[1]["error"].as_str().unwrap();
    assert!(error.contains("JSON"), "{error}");
    assert_eq!(three[2]["duration_ms"], Value::Null);
    drop(open);
    let ended = |calls: &[Value]| calls[2]["duration_ms"].is_u64();
    let ended = calls(&running, ended).await;
    assert_eq!(ended[2]["error"], "the client hung up");
}
