//! Who is let in, and how far.

use super::*;

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
async fn a_listed_page_may_call_the_api_from_a_browser() {
    let running = start().await;
    let origin = ("Origin", "https://chat.example");
    let asking = [
        origin,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    let send = |method, path, headers| running.client.send(method, path, headers, b"");
    let path = "/v1/chat/completions";
    let answer = send("OPTIONS", path, &asking[..]).await;
    assert_eq!(answer.status, 204);
    let allowed = |answer: &Answer, name: &str| {
        let name = format!("access-control-allow-{name}");
        answer.header(&name).map(str::to_owned)
    };
    assert_eq!(allowed(&answer, "origin").as_deref(), Some(origin.1));
    assert_eq!(allowed(&answer, "headers").as_deref(), Some("content-type"));
    let site = ("Sec-Fetch-Site", "cross-site");
    let crossing = [origin, site];
    let answer = send("GET", "/v1/models", &crossing[..]).await;
    assert_eq!(allowed(&answer, "origin").as_deref(), Some(origin.1));
    answer.json(200);
    // Nobody else, and nothing else.
    let evil = [("Origin", "https://evil.example"), asking[1]];
    for (path, headers) in [
        (path, &evil[..]),
        ("/admin/state", &asking[..]),
        ("/admin/instances", &asking[..]),
        ("/metrics", &asking[..]),
    ] {
        let answer = send("OPTIONS", path, headers).await;
        assert_eq!(allowed(&answer, "origin"), None, "{path}");
        answer.json(403);
    }
}

#[tokio::test]
async fn a_url_in_a_request_is_never_fetched() {
    let running = start().await;
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let url = format!("http://{}/secret.png", elsewhere.local_addr().unwrap());
    let picture = json!({"type": "image_url", "image_url": {"url": url}});
    let source = json!({"type": "image", "source": {"type": "url", "url": url}});
    let input = json!({"type": "input_image", "image_url": url});
    let file = json!({"type": "input_file", "file_url": url});
    let said = |content| json!([{"role": "user", "content": [content]}]);
    for (path, body) in [
        (
            "/v1/chat/completions",
            chat(&json!({"messages": said(picture)})),
        ),
        (
            "/v1/messages",
            json!({"model": "sprout", "max_tokens": 5, "messages": said(source)}),
        ),
        (
            "/v1/responses",
            json!({"model": "sprout", "input": said(input)}),
        ),
        (
            "/v1/responses",
            json!({"model": "sprout", "input": said(file)}),
        ),
    ] {
        let answer = running.post_bytes(path, body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    let connected = elsewhere.accept();
    assert_eq!(
        connected.unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
}

#[tokio::test]
async fn a_key_is_for_what_its_maker_says() {
    let running = start().await;
    let asked = async |body: Value| running.post("/admin/api-keys", &body).await;
    let made = asked(json!({"name": "laptop"})).await.json(201);
    assert_eq!(made["scope"], "use");
    let made = asked(json!({"name": "rack", "scope": "manage"}))
        .await
        .json(201);
    assert_eq!(made["scope"], "manage");
    let refused = asked(json!({"name": "x", "scope": "everything"}))
        .await
        .json(400);
    assert!(refused.to_string().contains("manage"), "{refused}");
    let listed = running.get("/admin/api-keys").await.json(200);
    assert_eq!(listed["keys"][0]["scope"], "use");
    assert_eq!(listed["keys"][1]["scope"], "manage");
    assert!(listed["keys"][0]["key"].is_null());
}
