//! Ollama's dialect over real HTTP.

use super::*;
use base::{FinishReason, GenerateEvent, GenerateRequest, KeepAlive, Piece, Usage};

/// The lines of a stream.
fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = answer.text();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn asks(fields: &Value) -> Value {
    let mut body = json!({"model": "sprout", "prompt": "Hello"});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_server_is_up_and_browsers_get_the_page() {
    let running = start().await;
    let root = async |method, accept| {
        let accept = [("Accept", accept)];
        running.client.send(method, "/", &accept, b"").await
    };
    for accept in ["*/*", "application/json"] {
        let said = root("GET", accept).await;
        assert_eq!(
            (said.status, said.text().as_str()),
            (200, "Ollama is running")
        );
        assert!(said.header("set-cookie").is_none());
    }
    let head = root("HEAD", "application/json").await;
    assert_eq!((head.status, head.text().as_str()), (200, ""));
    let page = root("GET", "text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert!(page.text().contains("<html"), "{}", page.text());
    assert!(page.header("set-cookie").is_some());
    let version = running.get("/api/version").await.json(200);
    assert!(
        version["version"].as_str().unwrap().starts_with("0."),
        "{version}"
    );
}

#[tokio::test]
async fn models_are_listed_shown_and_told_to_be_loaded() {
    let running = start().await;
    let tags = running.get("/api/tags").await.json(200);
    let sprout = &tags["models"][0];
    assert_eq!(
        (&sprout["name"], &sprout["model"]),
        (&json!("sprout:latest"), &json!("sprout:latest"))
    );
    assert_eq!(sprout["digest"], "ab".repeat(32));
    assert_eq!(sprout["details"]["parameter_size"], "3.1M");
    assert_eq!(tags["models"][1]["name"], "acme/big-model:latest");
    let ps = running.get("/api/ps").await.json(200);
    let [big, sprout] = ps["models"].as_array().unwrap().as_slice() else {
        panic!("{ps}");
    };
    assert_eq!(big["expires_at"], "9999-12-31T23:59:59Z");
    assert_eq!(sprout["expires_at"], "2023-11-14T22:18:20.000000000Z");
    assert_eq!(
        (&sprout["size"], &sprout["context_length"]),
        (&json!(3_u64 << 29), &json!(1024))
    );
    for name in [json!({"model": "sprout"}), json!({"name": "sprout:latest"})] {
        let shown = running.post("/api/show", &name).await.json(200);
        assert_eq!(shown["template"], "{{ messages }}");
        assert_eq!(shown["capabilities"], json!(["completion", "tools"]));
        assert_eq!(shown["model_info"]["llama.context_length"], 1024);
        assert_eq!(shown["tensors"], Value::Null);
    }
    let verbose = json!({"model": "sprout", "verbose": true});
    let verbose = running.post("/api/show", &verbose).await.json(200);
    assert_eq!(verbose["tensors"][0]["shape"], json!([2, 3]));
    let none = running
        .post("/api/show", &json!({"model": "none"}))
        .await
        .json(404);
    assert_eq!(
        none["error"],
        "model not found: there is no model none (hint: try sprout)"
    );
}

#[tokio::test]
async fn a_chat_whole_and_in_lines() {
    let running = start().await;
    let body = chat(&json!({"model": "sprout:latest", "stream": false, "options": {"seed": 4}}));
    let whole = running.post("/api/chat", &body).await.json(200);
    assert_eq!(whole["model"], "sprout:latest");
    assert_eq!(
        whole["message"],
        json!({"role": "assistant", "content": "You said: Hello"})
    );
    assert_eq!(
        (&whole["done"], &whole["done_reason"]),
        (&json!(true), &json!("stop"))
    );
    for number in [
        "total_duration",
        "load_duration",
        "prompt_eval_duration",
        "eval_duration",
        "prompt_eval_count",
        "eval_count",
    ] {
        assert!(whole[number].as_u64().unwrap() > 0, "{number}: {whole}");
    }
    assert_eq!(running.gateway.last_request().sampling.seed, Some(4));
    assert_eq!(running.gateway.last_request().model, "sprout");
    // Lines are what comes unless something else is asked for, and the body needs no label.
    let body = chat(&json!({})).to_string();
    let answer = running
        .client
        .send("POST", "/api/chat", &[], body.as_bytes())
        .await;
    let lines = lines(&answer);
    let said: String = lines
        .iter()
        .map(|line| line["message"]["content"].as_str().unwrap())
        .collect();
    assert_eq!(said, "You said: Hello");
    assert_eq!(lines.iter().filter(|line| line["done"] == true).count(), 1);
    assert_eq!(lines.last().unwrap()["eval_count"], 3);
}

#[tokio::test]
async fn one_question_goes_on_from_another() {
    let running = start().await;
    let first = running
        .post("/api/generate", &asks(&json!({"stream": false})))
        .await
        .json(200);
    assert_eq!(first["response"], "You said: Hello");
    let context = &first["context"];
    assert!(context.as_array().unwrap().len() > 2, "{first}");
    let next = asks(&json!({"prompt": "More", "context": context}));
    running.post("/api/generate", &next).await;
    let asked = running.gateway.last_request();
    let talk = asked.prompt.conversation().unwrap();
    let said: Vec<&str> = talk
        .messages
        .iter()
        .map(|turn| turn.content.as_str())
        .collect();
    assert_eq!(said, ["Hello", "You said: Hello", "More"]);
    running
        .post("/api/generate", &asks(&json!({"raw": true})))
        .await;
    assert_eq!(
        running.gateway.last_request().prompt,
        Prompt::Text("Hello".into())
    );
}

#[tokio::test]
async fn turns_and_answers_are_what_there_is_room_for() {
    let running = start().await;
    let options = json!({"num_ctx": 10, "num_predict": -1});
    running
        .post(
            "/api/generate",
            &asks(&json!({"options": options, "stream": false})),
        )
        .await
        .json(200);
    let asked = running.gateway.last_request();
    assert_eq!(
        (asked.context_tokens, asked.max_tokens),
        (Some(10), Some(GenerateRequest::TO_THE_END))
    );
    let turn = |role: &str, content: &str| json!({"role": role, "content": content});
    let turns = json!([
        turn("system", "Be brief."),
        turn("user", "one"),
        turn("assistant", "two"),
        turn("user", "three"),
        turn("assistant", "four"),
        turn("user", "five"),
    ]);
    let narrow = |truncate: bool| json!({"model": "narrow", "messages": turns, "stream": false, "truncate": truncate});
    running.post("/api/chat", &narrow(true)).await.json(200);
    let kept = running.gateway.last_request().prompt;
    let kept = &kept.conversation().unwrap().messages;
    let kept: Vec<&str> = kept.iter().map(|turn| turn.content.as_str()).collect();
    assert_eq!(kept, ["Be brief.", "four", "five"]);
    let error = running.post("/api/chat", &narrow(false)).await.json(400);
    let error = error["error"].as_str().unwrap();
    assert!(error.contains("context length is exceeded"), "{error}");
    // What the model has not, an answer cannot have.
    let roomy = asks(&json!({"model": "short", "options": {"num_predict": 5000}, "stream": false}));
    running.post("/api/generate", &roomy).await.json(200);
    assert_eq!(
        running.gateway.last_request().max_tokens,
        Some(GenerateRequest::TO_THE_END)
    );
    running.gateway.wait_for_running(0).await;
}

#[tokio::test]
async fn models_are_loaded_and_unloaded_without_a_word() {
    let running = start().await;
    let loaded = running
        .post(
            "/api/generate",
            &json!({"model": "sprout", "keep_alive": "1m"}),
        )
        .await
        .json(200);
    assert_eq!(
        (&loaded["done_reason"], &loaded["response"]),
        (&json!("load"), &json!(""))
    );
    let asked = running.gateway.last_request();
    assert_eq!(asked.max_tokens, Some(0));
    assert_eq!(
        asked.keep_alive,
        Some(KeepAlive::For(Duration::from_mins(1)))
    );
    let gone = json!({"model": "sprout", "messages": [], "keep_alive": 0});
    let unloaded = running.post("/api/chat", &gone).await.json(200);
    assert_eq!(
        (&unloaded["done_reason"], &unloaded["message"]["content"]),
        (&json!("unload"), &json!(""))
    );
    assert_eq!(
        running.gateway.last_request().keep_alive,
        Some(KeepAlive::For(Duration::ZERO))
    );
    // One that is not loaded is not loaded for that.
    let before = running.gateway.last_request().id;
    running.gateway.change(|view| view.instances.clear());
    running.post("/api/chat", &gone).await.json(200);
    assert_eq!(running.gateway.last_request().id, before);
    running
        .post("/api/chat", &json!({"model": "none", "keep_alive": 0}))
        .await
        .json(404);
}

#[tokio::test]
async fn tools_are_called_whole() {
    let running = start().await;
    let delta = |piece| {
        Ok(GenerateEvent::Delta {
            piece,
            tokens: Vec::new(),
        })
    };
    running.gateway.script(vec![
        Ok(GenerateEvent::Started {
            model: "scripted".into(),
            prompt_tokens: 3,
        }),
        delta(Piece::Reasoning("Hm.".into())),
        delta(Piece::ToolCall {
            index: 0,
            name: "now".into(),
        }),
        delta(Piece::Arguments {
            index: 0,
            text: "{\"zone\": ".into(),
        }),
        delta(Piece::Arguments {
            index: 0,
            text: "\"UTC\"}".into(),
        }),
        Ok(GenerateEvent::Finished {
            reason: FinishReason::Stop,
            stop: None,
            usage: Usage::default(),
        }),
    ]);
    let body = chat(
        &json!({"model": "scripted", "tools": [{"type": "function", "function": {"name": "now"}}]}),
    );
    let lines = lines(&running.post("/api/chat", &body).await);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0]["message"]["thinking"], "Hm.");
    let call = &lines[1]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], json!({"zone": "UTC"}));
    assert_eq!(lines[2]["done_reason"], "stop");
}

#[tokio::test]
async fn errors_before_and_within_a_stream() {
    let running = start().await;
    for (path, body, status, words) in [
        (
            "/api/chat",
            chat(&json!({"model": "none"})),
            404,
            "model not found",
        ),
        (
            "/api/chat",
            chat(&json!({"model": "busy"})),
            429,
            "server busy",
        ),
        (
            "/api/generate",
            asks(&json!({"images": ["aGk="]})),
            400,
            "images cannot be had",
        ),
        (
            "/api/push",
            json!({"model": "sprout"}),
            400,
            "not sent to a registry",
        ),
        ("/api/blobs/sha256:00", json!({}), 404, "not supported"),
        (
            "/api/pull",
            json!({"model": "llama3.2"}),
            404,
            "by its repository there",
        ),
        (
            "/api/nothing",
            json!({}),
            404,
            "there is no POST /api/nothing",
        ),
        ("/api/tags", json!({}), 405, "does not take POST"),
    ] {
        let error = running.post(path, &body).await.json(status);
        assert!(error["error"].as_str().unwrap().contains(words), "{error}");
    }
    let broken = running
        .post("/api/chat", &chat(&json!({"model": "broken"})))
        .await;
    let lines = lines(&broken);
    assert_eq!(lines.last().unwrap(), &json!({"error": "a node is gone"}));
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_answer() {
    let running = start().await;
    let body = chat(&json!({"model": "endless"})).to_string();
    let mut connection = running
        .client
        .open("POST", "/api/chat", body.as_bytes())
        .await;
    connection.until("You ").await;
    assert_eq!(running.gateway.running.load(Ordering::SeqCst), 1);
    drop(connection);
    running.gateway.wait_for_running(0).await;
}

#[tokio::test]
async fn vectors_of_one_text_and_of_several() {
    let running = start().await;
    let one = running
        .post("/api/embed", &json!({"model": "sprout", "input": "four"}))
        .await
        .json(200);
    assert_eq!(one["embeddings"], json!([[4.0, 0.25, -0.5]]));
    assert_eq!(one["prompt_eval_count"], 3);
    assert_eq!(one["load_duration"], 2_000_000);
    let several = json!({"model": "sprout", "input": ["a", "bb"], "dimensions": 1});
    let several = running.post("/api/embed", &several).await.json(200);
    assert_eq!(several["embeddings"], json!([[1.0], [1.0]]));
    let none = running
        .post("/api/embed", &json!({"model": "sprout", "input": []}))
        .await
        .json(200);
    assert_eq!(none, json!({"model": "sprout", "embeddings": []}));
    assert_eq!(running.gateway.last_request().max_tokens, Some(0));
    let legacy = running
        .post(
            "/api/embeddings",
            &json!({"model": "sprout", "prompt": "four"}),
        )
        .await
        .json(200);
    assert_eq!(legacy, json!({"embedding": [4.0, 0.25, -0.5]}));
}

#[tokio::test]
async fn models_are_made_copied_and_deleted() {
    let running = start().await;
    let made = json!({"model": "mario", "from": "sprout:latest", "system": "You are Mario."});
    let steps = lines(&running.post("/api/create", &made).await);
    assert_eq!(steps.last().unwrap(), &json!({"status": "success"}));
    let copied = json!({"source": "mario", "destination": "luigi:v2"});
    let copied = running.post("/api/copy", &copied).await;
    assert_eq!((copied.status, copied.text().as_str()), (200, ""));
    let shown = running
        .post("/api/show", &json!({"model": "luigi:v2"}))
        .await
        .json(200);
    assert_eq!(shown["system"], "You are Mario.");
    assert_eq!(shown["details"]["parent_model"], "sprout");
    let tags = running.get("/api/tags").await.json(200);
    assert_eq!(tags["models"][3]["name"], "luigi:v2");
    let delete = async |name: &str| {
        let json = [("Content-Type", "application/json")];
        let body = json!({"model": name}).to_string();
        running
            .client
            .send("DELETE", "/api/delete", &json, body.as_bytes())
            .await
    };
    assert_eq!(delete("mario:latest").await.status, 200);
    delete("mario").await.json(404);
    let pulled = lines(&running.post("/api/pull", &json!({"model": "sprout"})).await);
    assert_eq!(pulled.last().unwrap(), &json!({"status": "success"}));
    let pulled = json!({"name": "sprout", "stream": false});
    let pulled = running.post("/api/pull", &pulled).await.json(200);
    assert_eq!(pulled, json!({"status": "success"}));
    let none = json!({"model": "x", "from": "none"});
    running.post("/api/create", &none).await.json(404);
    running
        .post("/api/copy", &json!({"source": "none", "destination": "x"}))
        .await
        .json(404);
}

#[tokio::test]
async fn a_pull_tells_how_far_it_is_until_it_is_here() {
    let running = start().await;
    let gateway = &running.gateway;
    let pull = |name: &str| json!({"model": name}).to_string();
    let asked = pull("hf.co/acme/new:latest");
    let mut connection = running
        .client
        .open("POST", "/api/pull", asked.as_bytes())
        .await;
    let first = connection.until("waiting for other downloads").await;
    assert!(
        first.contains(r#"{"status":"pulling manifest"}"#),
        "{first}"
    );
    gateway.show_download("acme/new", State::Running, 1 << 30);
    let step = r#"{"status":"pulling acme/new","digest":"c0ffee","total":4294967296,"completed":1073741824}"#;
    connection.until(step).await;
    gateway.show_download(
        "acme/new",
        State::Retrying("it answers 500".into()),
        1 << 30,
    );
    connection.until("trying again: it answers 500").await;
    gateway.show_download("acme/new", State::Verifying, 4 << 30);
    connection.until("verifying sha256 digest").await;

    let ends = async |state: Option<State>| {
        gateway.downloads.send_replace(Arc::default());
        let mut changes = gateway.downloads.subscribe();
        let end = async {
            let wanted = changes.wait_for(|list| !list.is_empty()).await;
            drop(wanted.unwrap());
            match state {
                Some(state) => gateway.show_download("acme/new", state, 1),
                None => drop(gateway.downloads.send_replace(Arc::default())),
            }
        };
        let asked = json!({"model": "acme/new"});
        let (answer, ()) = tokio::join!(running.post("/api/pull", &asked), end);
        lines(&answer).last().unwrap().clone()
    };
    assert_eq!(ends(Some(State::Done)).await, json!({"status": "success"}));
    let failure = Failure::new(ErrorCode::TimedOut, "the hub is away").hint("later");
    let failed = ends(Some(State::Failed(failure))).await;
    assert_eq!(failed, json!({"error": "the hub is away (hint: later)"}));
    let paused = "the download was paused (hint: pull it again to go on)";
    assert_eq!(ends(Some(State::Paused)).await, json!({"error": paused}));
    let cancelled = json!({"error": "the download was cancelled"});
    assert_eq!(ends(None).await, cancelled);
    running
        .post("/api/pull", &json!({"model": "acme/no such"}))
        .await
        .json(400);
}
