//! The server as clients meet it: real HTTP on loopback, in front of a made-up node.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod anthropic;
mod client;
mod described;
mod door;
mod embeddings;
mod gateway;
mod ollama;
mod openai_calls;
mod responses;
mod responses_told;
mod socket;
mod user_data;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{ErrorCode, Failure, Prompt};
use client::{Answer, Client};
use gateway::{TestGateway, cluster};
use serde_json::{Value, json};
use serve::downloads::State;
use serve::view::ClusterView;
use serve::{Metrics, ServeConfig, Server};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What takes longer hangs.
const LIMIT: Duration = Duration::from_secs(10);

/// Method, path, headers and body of a request; status and code of its answer.
type Case<'a> = (&'a str, &'a str, Headers<'a>, &'a [u8], u16, &'a str);
type Headers<'a> = Vec<(&'a str, &'a str)>;

struct Running {
    gateway: Arc<TestGateway>,
    client: Client,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
}

async fn start() -> Running {
    let gateway = Arc::new(TestGateway::new(cluster()));
    let config = ServeConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        session: "t0ken".into(),
    };
    let server = Server::bind(config, gateway.clone(), Metrics::new())
        .await
        .unwrap();
    let client = Client::new(server.address());
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Running {
        gateway,
        client,
        stop: Some(stop),
        ended,
    }
}

impl Running {
    async fn get(&self, path: &str) -> Answer {
        self.client.send("GET", path, &[], b"").await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_bytes(path, body.to_string().as_bytes()).await
    }

    async fn post_bytes(&self, path: &str, body: &[u8]) -> Answer {
        let json = [("Content-Type", "application/json")];
        self.client.send("POST", path, &json, body).await
    }
}

fn chat(fields: &Value) -> Value {
    let mut body = json!({"model": "sprout", "messages": [{"role": "user", "content": "Hello"}]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn lists_models_whose_names_have_slashes() {
    let running = start().await;
    let list = running.get("/v1/models").await.json(200);
    assert_eq!(list["data"][1]["id"], "acme/big-model");
    for path in ["/v1/models/acme/big-model", "/v1/models/acme%2Fbig-model"] {
        let model = running.get(path).await.json(200);
        assert_eq!(
            model,
            json!({"id": "acme/big-model", "object": "model", "created": 1_700_000_000, "owned_by": "espalier"})
        );
    }
    let error = running.get("/v1/models/acme/none").await.json(404);
    assert_eq!(error["error"]["code"], "model_not_found");
    running.get("/v1/models/%ff").await.json(404);
}

#[tokio::test]
async fn answers_a_chat() {
    let running = start().await;
    let answer = running
        .post("/v1/chat/completions", &chat(&json!({"seed": 4})))
        .await
        .json(200);
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "You said: Hello"
    );
    assert_eq!(answer["usage"]["total_tokens"], 4);
    let asked = running.gateway.last_request();
    assert_eq!(asked.sampling.seed, Some(4));
    assert!(matches!(asked.prompt, Prompt::Chat(talk) if talk.messages.len() == 1));
}

#[tokio::test]
async fn streams_a_chat() {
    let running = start().await;
    let body = chat(&json!({"stream": true, "stream_options": {"include_usage": true}}));
    let answer = running.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let data = answer.data();
    assert_eq!(data.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> = data[..data.len() - 1]
        .iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(
        chunks[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": ""})
    );
    let pieces = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    assert_eq!(pieces.collect::<String>(), "You said: Hello");
    assert_eq!(chunks.last().unwrap()["usage"]["completion_tokens"], 3);
}

#[tokio::test]
async fn answers_several_prompts_in_order() {
    let running = start().await;
    let prompts: Vec<String> = (0..40).map(|number| format!("p{number}")).collect();
    let body = json!({"model": "sprout", "prompt": prompts, "logprobs": 1, "echo": true});
    let answer = running.post("/v1/completions", &body).await.json(200);
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 40);
    for (choice, index) in choices.iter().zip(0..) {
        assert_eq!(choice["index"], index);
        assert_eq!(choice["text"], format!("p{index}You said: p{index}"));
        assert_eq!(choice["logprobs"]["token_logprobs"][0], Value::Null);
    }
    let body = json!({"model": "sprout", "prompt": ["a", "b"], "stream": true});
    let data = running.post("/v1/completions", &body).await.data();
    assert_eq!(data.last().map(String::as_str), Some("[DONE]"));
    let finished = data
        .iter()
        .filter(|data| data.contains("\"finish_reason\":\"stop\""));
    assert_eq!(finished.count(), 2);
}

#[tokio::test]
async fn everything_wrong_under_v1_has_openais_envelope() {
    let running = start().await;
    let post = "/v1/chat/completions";
    let json = ("Content-Type", "application/json");
    let big = vec![b' '; (16 << 20) + 1];
    let cases: Vec<Case<'_>> = vec![
        ("GET", "/v1/nothing", vec![], b"", 404, "not_found"),
        ("GET", "/nothing", vec![], b"", 404, "not_found"),
        ("GET", post, vec![], b"", 405, "method_not_allowed"),
        (
            "DELETE",
            "/v1/models",
            vec![],
            b"",
            405,
            "method_not_allowed",
        ),
        (
            "POST",
            post,
            vec![json],
            b"{\"model\":",
            400,
            "invalid_request",
        ),
        (
            "POST",
            post,
            vec![json],
            b"{\"model\": 1}",
            400,
            "invalid_request",
        ),
        ("POST", post, vec![json], b"", 400, "invalid_request"),
        (
            "POST",
            post,
            vec![("Content-Type", "text/plain")],
            b"{}",
            400,
            "invalid_request",
        ),
        ("POST", post, vec![], b"{}", 400, "invalid_request"),
        ("POST", post, vec![json], &big, 413, "too_large"),
        (
            "POST",
            post,
            vec![json, ("Origin", "http://evil.example")],
            b"{}",
            403,
            "forbidden",
        ),
    ];
    for (method, path, headers, body, status, code) in cases {
        let answer = running.client.send(method, path, &headers, body).await;
        let error = answer.json(status);
        let error = &error["error"];
        assert_eq!(error["code"], code, "{method} {path}");
        assert!(
            error["message"].is_string() && error["type"].is_string(),
            "{error}"
        );
        assert!(error.as_object().unwrap().contains_key("param"), "{error}");
    }
    let unknown = running
        .post(post, &chat(&json!({"model": "nope"})))
        .await
        .json(404);
    assert_eq!(unknown["error"]["code"], "model_not_found");
    assert_eq!(
        unknown["error"]["message"],
        "there is no model nope (hint: try sprout)"
    );
    let sized = running.get("/v1/nothing").await;
    assert_eq!(
        sized.header("content-length"),
        Some(sized.text().len().to_string().as_str())
    );
    let allowed = running.client.send("GET", post, &[], b"").await;
    assert_eq!(allowed.header("allow"), Some("POST"));
    let chunked = [json, ("Transfer-Encoding", "chunked")];
    let body = [
        format!("{:x}\r\n", big.len()).as_bytes(),
        &big,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    running
        .client
        .send("POST", post, &chunked, &body)
        .await
        .json(413);
}

#[tokio::test]
async fn a_failure_before_the_first_event_has_its_status_even_when_streaming() {
    let running = start().await;
    let body = chat(&json!({"model": "busy", "stream": true}));
    let answer = running.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json(429)["error"]["type"], "rate_limit_error");
}

#[tokio::test]
async fn a_failure_in_the_middle_is_told_in_the_stream() {
    let running = start().await;
    let body = chat(&json!({"model": "broken", "stream": true}));
    let data = running.post("/v1/chat/completions", &body).await.data();
    let last: Value = serde_json::from_str(data.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "worker_lost");
    let whole = running
        .post("/v1/chat/completions", &chat(&json!({"model": "broken"})))
        .await;
    assert_eq!(whole.json(503)["error"]["code"], "worker_lost");
}

#[tokio::test]
async fn a_client_that_is_gone_ends_its_generation() {
    let running = start().await;
    for stream in [true, false] {
        let body = chat(&json!({"model": "endless", "stream": stream})).to_string();
        let connection = running
            .client
            .open("POST", "/v1/chat/completions", body.as_bytes())
            .await;
        running.gateway.wait_for_running(1).await;
        drop(connection);
        running.gateway.wait_for_running(0).await;
    }
}

#[tokio::test]
async fn stops_even_while_an_answer_is_under_way() {
    let mut running = start().await;
    let body = chat(&json!({"model": "endless", "stream": true})).to_string();
    let _connection = running
        .client
        .open("POST", "/v1/chat/completions", body.as_bytes())
        .await;
    running.gateway.wait_for_running(1).await;
    running.stop.take().unwrap().send(()).unwrap();
    timeout(LIMIT, running.ended).await.unwrap().unwrap();
    assert_eq!(running.gateway.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn says_how_it_is() {
    let running = start().await;
    assert_eq!(
        running.get("/health").await.json(200),
        json!({"status": "ok"})
    );
    running
        .post("/v1/chat/completions", &chat(&json!({})))
        .await
        .json(200);
    running.get("/v1/nothing").await.json(404);
    let metrics = running.get("/metrics").await.text();
    for line in [
        "espalier_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 1",
        "espalier_requests_total{route=\"other\",status=\"404\"} 1",
        "espalier_requests_in_flight 1",
        "espalier_generated_tokens_total 3",
        "espalier_first_token_seconds_count 1",
    ] {
        assert!(
            metrics.lines().any(|said| said == line),
            "no {line} in\n{metrics}"
        );
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let running = start().await;
    let config = ServeConfig {
        listen: running.client.address,
        session: "t0ken".into(),
    };
    let refused = Server::bind(config, running.gateway.clone(), Metrics::new()).await;
    let error = refused.err().unwrap().to_string();
    assert!(
        error.contains(&running.client.address.to_string()) && error.contains("hint"),
        "{error}"
    );
}
