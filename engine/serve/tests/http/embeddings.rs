//! `POST /v1/embeddings`; the made-up node's vectors say how long a text is.

use serde_json::json;

use crate::start;

#[tokio::test]
async fn vectors_of_texts_in_order() {
    let running = start().await;
    let body = json!({"model": "sprout", "input": ["four", "a"], "user": "somebody"});
    let answer = running.post("/v1/embeddings", &body).await.json(200);
    let data = &answer["data"];
    assert_eq!(data[0]["embedding"], json!([4.0, 0.25, -0.5]));
    assert_eq!(data[1]["embedding"], json!([1.0, 0.25, -0.5]));
    assert_eq!(data[1]["index"], 1);
    let usage = json!({"prompt_tokens": 6, "total_tokens": 6});
    assert_eq!(answer["usage"], usage);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused() {
    let running = start().await;
    for (body, param) in [
        (
            json!({"model": "sprout", "input": "a", "dimensions": 4}),
            "dimensions",
        ),
        (json!({"model": "sprout", "input": ""}), "input"),
        (json!({"input": "a"}), "model"),
    ] {
        let answer = running.post("/v1/embeddings", &body).await.json(400);
        assert_eq!(answer["error"]["param"], param, "{answer}");
    }
}
