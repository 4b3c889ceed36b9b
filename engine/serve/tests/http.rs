//! The server as clients meet it: real HTTP on loopback, in front of a made-up node.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/client.rs"]
mod client;
#[path = "support/gateway.rs"]
mod gateway;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::Prompt;
use client::{Answer, Client};
use gateway::{TestGateway, cluster};
use serde_json::{Value, json};
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
    assert_eq!(asked.sampling.seed, 4);
    assert!(matches!(asked.prompt, Prompt::Chat(messages) if messages.len() == 1));
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
async fn only_this_machine_is_answered() {
    let running = start().await;
    let evil = running
        .client
        .send("GET", "/admin/state", &[("Host", "evil.example")], b"")
        .await;
    let error = evil.json(403);
    assert_eq!(error["error"]["code"], "forbidden");
    assert!(error["error"]["hint"].is_string(), "{error}");
    for header in [("Host", "localhost:9"), ("Host", "[::1]")] {
        let answer = running
            .client
            .send("GET", "/admin/state", &[header], b"")
            .await;
        assert!(answer.header("access-control-allow-origin").is_none());
        answer.json(200);
    }
}

#[tokio::test]
async fn a_browser_gets_its_session_with_the_page() {
    let running = start().await;
    let (here, elsewhere) = (
        [("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "cross-site")],
    );
    let get = |path, headers| running.client.send("GET", path, headers, b"");
    let refused = get("/admin/state", &here[..]).await;
    let error = refused.json(403);
    assert!(error["error"]["hint"].is_string(), "{error}");
    let page = get("/", &elsewhere[..]).await;
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly"), "{cookie}");
    let (pair, _) = cookie.split_once(';').unwrap();
    let headers = [here[0], ("Cookie", pair)];
    get("/admin/state", &headers[..]).await.json(200);
    get("/v1/models", &headers[..]).await.json(200);
    get("/health", &elsewhere[..]).await.json(200);
}

#[tokio::test]
async fn shows_and_changes_settings() {
    let running = start().await;
    let shown = running.get("/admin/settings").await.json(200);
    assert_eq!(shown["name"], "study");
    assert_eq!(shown["lend_memory_bytes_max"], Value::Null);
    let json = [("Content-Type", "application/json")];
    let client = &running.client;
    let change = |body: &'static [u8]| client.send("PATCH", "/admin/settings", &json, body);
    let changed = change(br#"{"name": "attic"}"#).await.json(200);
    assert_eq!(changed["name"], "attic");
    let refused = change(br#"{"name": "cellar", "api_port": 1}"#).await;
    assert_eq!(refused.json(500)["error"]["hint"], "choose another");
    change(br#"{"colour": "green"}"#).await.json(400);
    assert_eq!(running.get("/admin/settings").await.json(200), changed);
}

#[tokio::test]
async fn opens_shows_plans_and_closes_instances() {
    let running = start().await;
    let state = running.get("/admin/state").await.json(200);
    assert_eq!(state["nodes"][0]["name"], "oak");
    assert_eq!(
        state["instances"][0]["shards"][0]["layers"],
        json!([20, 30])
    );
    let wish = json!({"model": "sprout", "sharding": "tensor", "node_count": 2});
    let opened = running.post("/admin/instances", &wish).await.json(202);
    assert_eq!(opened, json!({"id": "00000000000000aa"}));
    assert_eq!(running.gateway.last_wish().node_count, Some(2));
    let placements = running.post("/admin/plan", &wish).await.json(200);
    assert_eq!(
        placements["placements"][0]["shards"][1]["tensor"],
        json!([1, 2])
    );
    // Only what this node has the files of can be opened here.
    let models = running.get("/admin/models").await.json(200);
    let sprout = json!({"id": "sprout", "weights_bytes": 12_582_912, "family": "llama", "weights_format": "float32"});
    assert_eq!(models, json!({"models": [sprout]}));
    let list = running.get("/admin/instances").await.json(200);
    let id = list["instances"][0]["id"].as_str().unwrap();
    let one = running
        .get(&format!("/admin/instances/{id}"))
        .await
        .json(200);
    assert_eq!(one, list["instances"][0]);
    let path = format!("/admin/instances/{id}");
    assert_eq!(
        running.client.send("DELETE", &path, &[], b"").await.status,
        204
    );
    running.get(&path).await.json(404);
    for path in [
        "/admin/instances/x",
        "/admin/instances/%ff",
        "/admin/nothing",
    ] {
        assert_eq!(
            running.get(path).await.json(404)["error"]["code"],
            "not_found"
        );
    }
    let wrong = running
        .post("/admin/instances", &json!({"model": 1}))
        .await
        .json(400);
    assert_eq!(
        wrong["error"]["message"],
        "model: invalid type: integer `1`, expected a string"
    );
    running
        .client
        .send("PUT", "/admin/state", &[], b"")
        .await
        .json(405);
}

#[tokio::test]
async fn changes_are_streamed_and_coalesced() {
    let mut running = start().await;
    let mut events = running.client.open("GET", "/admin/events", b"").await;
    let mut first = String::new();
    while !(first.contains("event: state\n") && first.contains("event: membership\n")) {
        first += &events.until("\n\n").await;
    }
    assert!(
        first.contains("event: state\ndata: {\"node_id\""),
        "{first}"
    );
    for number in 0..1000 {
        running.gateway.change(|view: &mut ClusterView| {
            view.nodes[0].name = format!("oak-{number}");
        });
    }
    let rest = events.until("oak-999").await;
    assert!(rest.matches("event: state").count() < 20, "{rest}");
    let ended = tokio::time::Instant::now();
    running.stop.take().unwrap().send(()).unwrap();
    timeout(LIMIT, running.ended).await.unwrap().unwrap();
    // Without the streams' own end the server would wait for them as long as it may.
    assert!(
        ended.elapsed() < Duration::from_secs(1),
        "{:?}",
        ended.elapsed()
    );
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
async fn the_page_may_only_talk_to_its_server() {
    let running = start().await;
    let page = running.get("/").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
    assert!(page.text().contains("<title>Espalier</title>"));
    running.get("/assets/nothing.js").await.json(404);
    running.get("/assets/../../Cargo.toml").await.json(404);
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
