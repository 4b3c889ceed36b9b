//! The admin API: the cluster and the settings.

use super::*;

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
    assert_eq!(
        opened,
        json!({"id": "00000000000000aa", "ids": ["00000000000000aa"]})
    );
    assert_eq!(running.gateway.last_wish().node_count, Some(2));
    let placements = running.post("/admin/plan", &wish).await.json(200);
    assert_eq!(
        placements["placements"][0]["shards"][1]["tensor"],
        json!([1, 2])
    );
    let known = running.get("/admin/hub").await.json(200);
    assert_eq!(known["models"][0]["repositories"][0]["id"], "owner/model");
    let found = running.get("/admin/hub/owner/model@v1").await.json(200);
    assert_eq!(found["bytes"], 3_u64 << 30);
    assert_eq!(found["placements"], json!([]));
    assert_eq!(found["refusal"]["message"], "it is too large");
    running.get("/admin/hub/owner/other").await.json(404);
    // Only what this node has the files of can be opened here.
    let models = running.get("/admin/models").await.json(200);
    let sprout = json!({"id": "sprout", "weights_bytes": 12_582_912, "family": "llama", "weights_format": "float32", "licence": null, "folder": "/models/sprout", "is_own": false, "is_part": false});
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
async fn disks_are_looked_at_and_cleaned() {
    let running = start().await;
    let usage = running.get("/admin/disk").await.json(200);
    let names = ["folders", "models", "downloads", "leftovers"];
    let lists = names.map(|name| usage[name].as_array().map(Vec::len));
    assert_eq!(lists, [Some(1); 4], "{usage}");
    assert_eq!(usage["folders"][0]["kind"], "hugging_face_cache");
    assert_eq!(usage["models"][0]["last_used_unix_ms"], 7000);
    let room = running.get("/admin/disk/room?bytes=9").await.json(200);
    assert_eq!(
        (&room["bytes"], &room["is_enough"]),
        (&json!(9), &json!(true))
    );
    let there = "/admin/disk/room?bytes=9&folder=/models";
    assert_eq!(running.get(there).await.json(200)["models"], json!([]));
    for wrong in ["", "?bytes=many", "?bytes=1&foldr=/models"] {
        running
            .get(&format!("/admin/disk/room{wrong}"))
            .await
            .json(400);
    }
    let clean = async |body| running.post("/admin/disk/clean", &body).await;
    let path = "/models/.deleted-x";
    let cleaned = clean(json!({"paths": [path, "/etc"]})).await.json(200);
    assert_eq!(cleaned["leftovers"][0]["path"], path);
    clean(json!({})).await.json(400);
}

#[tokio::test]
async fn models_are_downloaded_and_deleted() {
    let running = start().await;
    let send = async |method: &str, path: &str, status| {
        assert_eq!(
            running.client.send(method, path, &[], b"").await.status,
            status
        );
    };
    let list = async || running.get("/admin/downloads").await.json(200)["downloads"].clone();
    assert_eq!(list().await, json!([]));
    let wish = json!({"model": "acme/new"});
    assert_eq!(running.post("/admin/downloads", &wish).await.status, 204);
    assert_eq!(list().await[0]["state"], "waiting");
    send("POST", "/admin/downloads/acme/new/pause", 204).await;
    let paused = &list().await[0];
    assert_eq!(
        (&paused["state"], &paused["commit"]),
        (&json!("paused"), &json!("c0ffee"))
    );
    send("POST", "/admin/downloads/acme/new/resume", 204).await;
    let gateway = &running.gateway;
    let failure = Failure::new(ErrorCode::TimedOut, "the hub is away").hint("later");
    gateway.show_download("acme/new", State::Failed(failure), 9);
    assert_eq!(list().await[0]["error"]["hint"], "later");
    gateway.show_download("acme/new", State::Retrying("it answers 500".into()), 9);
    assert_eq!(list().await[0]["reason"], "it answers 500");
    send("DELETE", "/admin/downloads/acme/new", 204).await;
    assert_eq!(list().await, json!([]));
    let wish = json!({"model": "acme/new", "revision": "v 2"});
    running.post("/admin/downloads", &wish).await.json(400);
    running
        .post("/admin/downloads", &json!({"modle": "acme/new"}))
        .await
        .json(400);
    let wish = json!({"model": "acme/wide", "everywhere": true});
    assert_eq!(running.post("/admin/downloads", &wish).await.status, 204);
    let wish = json!({"model": "else/wide", "everywhere": true});
    let refused = running.post("/admin/downloads", &wish).await.json(503);
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("attic")
    );
    assert_eq!(list().await[1]["model"], "else/wide", "here it is fetched");
    send("DELETE", "/admin/models/acme/none", 404).await;
    let has_token = async || running.get("/admin/hub-token").await.json(200)["is_set"].clone();
    assert_eq!(has_token().await, false);
    let json = [("Content-Type", "application/json")];
    let token = br#"{"token": "hf_secret"}"#;
    let kept = running
        .client
        .send("PUT", "/admin/hub-token", &json, token)
        .await;
    assert_eq!((kept.status, has_token().await), (204, json!(true)));
    send("DELETE", "/admin/hub-token", 204).await;
    assert_eq!(has_token().await, false);
}

#[tokio::test]
async fn changes_are_streamed_and_coalesced() {
    let mut running = start().await;
    let mut events = running.client.open("GET", "/admin/events", b"").await;
    let mut first = String::new();
    let names = ["state", "membership", "downloads"];
    while !names
        .iter()
        .all(|name| first.contains(&format!("event: {name}\n")))
    {
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
