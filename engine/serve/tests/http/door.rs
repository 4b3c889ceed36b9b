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
