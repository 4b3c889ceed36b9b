//! What a user changes while a node runs: taking part in the network, the API's port, its name; and that it is kept.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::api::{Api, online_nodes};
use tests::desktop::wait_for;
use tests::namespaces::Namespaces;
use tests::nodes::{Node, NodeOptions, start_cluster};

const LIMIT: Duration = Duration::from_secs(15);
/// Others see a node leave within this; noticing its silence would take them much longer.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);

fn change(api: &Api, change: &Value) -> Result<Value> {
    let (status, settings) = api.patch("/admin/settings", change)?;
    anyhow::ensure!(status == 200, "{status}: {settings}");
    Ok(settings)
}

#[test]
fn a_node_leaves_the_network_goes_on_alone_and_comes_back() -> Result<()> {
    let nodes = start_cluster(2)?;
    let (here, other) = (nodes[0].api(), nodes[1].api());
    let id = here.place("sprout", "pipeline", 2)?;
    here.wait_ready(&id, LIMIT)?;
    let both = here.complete("sprout", &json!("Count to 5."), 20)?;

    let start = Instant::now();
    let settings = change(&here, &json!({"join": false}))?;
    assert_eq!(settings["peer_address"], Value::Null);
    wait_for("the other sees it leave", || {
        Ok(online_nodes(&other.state()?) == 1)
    })?;
    assert!(start.elapsed() < LEAVE_LIMIT, "{:?}", start.elapsed());
    // Each goes on alone, with the same text; the one that left knows nobody.
    for api in [&here, &other] {
        assert_eq!(api.complete("sprout", &json!("Count to 5."), 20)?, both);
        let state = api.state()?;
        let shards = state["instances"][0]["shards"]
            .as_array()
            .context("shards")?;
        assert_eq!(shards.len(), 1, "{state}");
    }
    assert_eq!(here.state()?["nodes"].as_array().map(Vec::len), Some(1));

    change(&here, &json!({"join": true}))?;
    // Its port is another one, and nobody discovers anything here: it calls nobody it does not know, so the other
    // stays alone. A name that is taken up on joining is what it is called by then.
    assert!(change(&here, &json!({"name": "Attic"}))?["peer_address"].is_string());
    assert_eq!(here.state()?["nodes"][0]["name"], "Attic");
    Ok(())
}

#[test]
fn settings_outlive_the_node_and_refuse_what_cannot_be() -> Result<()> {
    let data = tempfile::tempdir()?;
    let options = NodeOptions {
        data: Some(data.path().to_path_buf()),
        ..NodeOptions::default()
    };
    let node = Node::start(&options)?;
    let api = node.api();
    change(
        &api,
        &json!({"name": "Study", "lend_memory_bytes_max": 123_456, "idle_minutes": 7}),
    )?;
    for (wrong, word) in [
        (json!({"name": ""}), "name"),
        (json!({"idle_minutes": 9_999_999}), "idle_minutes"),
        (json!({"colour": "green"}), "colour"),
    ] {
        let (status, error) = api.patch("/admin/settings", &wrong)?;
        assert_eq!(status, 400, "{error}");
        assert!(
            error["error"]["message"].to_string().contains(word),
            "{error}"
        );
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let (status, error) = api.patch(
        "/admin/settings",
        &json!({"api_port": port, "name": "Cellar", "closing": format!("127.0.0.1:{}", node.port)}),
    )?;
    assert_eq!(status, 400, "{error}");
    assert!(error["error"]["hint"].is_string(), "{error}");
    drop(node);

    let again = Node::start(&options)?;
    let (_, settings) = again.api().get("/admin/settings")?;
    assert_eq!(settings["name"], "Study");
    assert_eq!(settings["lend_memory_bytes_max"], 123_456);
    assert_eq!(settings["idle_minutes"], 7);
    Ok(())
}

#[test]
fn other_computers_use_the_api_with_a_key_once_they_may() -> Result<()> {
    if !Namespaces::possible() {
        eprintln!("skipped: network namespaces need root on Linux");
        return Ok(());
    }
    let hosts = Namespaces::make(2)?;
    let node = Node::start(&NodeOptions {
        namespace: Some(hosts.name(0).to_string()),
        ..NodeOptions::default()
    })?;
    let port = node.port;
    let there = Api::at(format!("http://10.77.0.1:{port}"));
    let reached = || hosts.inside(1, || there.get("/health").is_ok());
    assert!(!reached()?);

    let settings = hosts.inside(0, || change(&node.api(), &json!({"api_network": true})))??;
    assert_eq!(settings["api_address"], format!("127.0.0.1:{port}"));
    let addresses = json!([format!("10.77.0.1:{port}")]);
    assert_eq!(settings["api_network_addresses"], addresses);
    let made = hosts.inside(0, || {
        node.api()
            .post("/admin/api-keys", &json!({"name": "laptop"}))
    })??;
    let key = made.1["key"].as_str().context("key")?.to_owned();
    let models = |key: &str| hosts.inside(1, || there.get_with_key("/v1/models", key))?;
    let (status, error) = hosts.inside(1, || there.get("/v1/models"))??;
    assert_eq!(
        (status, &error["error"]["code"]),
        (401, &json!("invalid_api_key"))
    );
    assert_eq!(models("espalier-0")?.0, 401);
    assert_eq!(models(&key)?.0, 200);
    let state = hosts.inside(1, || there.get_with_key("/admin/state", &key))??;
    assert_eq!(state.0, 403);
    let rack = hosts.inside(0, || {
        let wish = json!({"name": "rack", "scope": "manage"});
        node.api().post("/admin/api-keys", &wish)
    })??;
    let manages = rack.1["key"].as_str().context("key")?.to_owned();
    let state = hosts.inside(1, || there.get_with_key("/admin/state", &manages))??;
    assert_eq!(state.0, 200, "{}", state.1);
    let page = hosts.inside(1, || there.get_with_key("/", &manages))??;
    assert_eq!(page.0, 403, "{}", page.1);
    let here = hosts.inside(0, || node.api().get("/admin/state"))??;
    assert_eq!(here.0, 200);

    let id = made.1["id"].as_str().context("id")?;
    hosts.inside(0, || node.api().delete(&format!("/admin/api-keys/{id}")))??;
    assert_eq!(models(&key)?.0, 401);
    let settings = hosts.inside(0, || change(&node.api(), &json!({"api_network": false})))??;
    assert_eq!(settings["api_network_addresses"], json!([]));
    assert!(!reached()?);
    hosts.inside(0, || node.api().get("/health"))??;
    Ok(())
}

#[test]
fn everything_can_be_as_it_was_at_first() -> Result<()> {
    let node = Node::start(&NodeOptions::default())?;
    let api = node.api();
    let (_, first) = api.get("/admin/settings")?;
    let disk = tempfile::tempdir()?;
    let wish = json!({"idle_minutes": 7, "model_folders": [disk.path(), "/not/connected"]});
    let changed = change(&api, &wish)?;
    let available = |index: usize| changed["model_folders"][index]["available"].clone();
    assert_eq!((available(0), available(1)), (json!(true), json!(false)));
    let (status, error) = api.patch("/admin/settings", &json!({"model_folders": ["models"]}))?;
    assert_eq!(status, 400, "{error}");
    api.delete("/admin/settings")?;
    assert_eq!(api.get("/admin/settings")?.1, first);
    Ok(())
}

#[test]
fn the_api_moves_to_another_port() -> Result<()> {
    let node = Node::start(&NodeOptions::default())?;
    let free = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let (status, refused) = node
        .api()
        .patch("/admin/settings", &json!({"api_port": free}))?;
    assert_eq!(status, 400, "{refused}");
    let old = format!("127.0.0.1:{}", node.port);
    let settings = change(&node.api(), &json!({"api_port": free, "closing": old}))?;
    assert_eq!(settings["api_address"], format!("127.0.0.1:{free}"));
    assert_eq!(Api::new(free).get("/health")?.0, 200);
    wait_for("the old port is closed", || {
        Ok(std::net::TcpStream::connect(("127.0.0.1", node.port)).is_err())
    })?;
    Ok(())
}

#[test]
fn ollamas_port_that_is_taken_keeps_no_node_from_starting() -> Result<()> {
    // Whoever has it, this test or another program: it is taken from here on.
    let _taken = std::net::TcpListener::bind("127.0.0.1:11434");
    let node = Node::start(&NodeOptions {
        arguments: vec!["--ollama-port".into()],
        ..NodeOptions::default()
    })?;
    let (status, settings) = node.api().get("/admin/settings")?;
    assert_eq!(status, 200);
    assert_eq!(settings["ollama_port"], true);
    assert_eq!(settings["ollama_address"], Value::Null);
    // Whoever switches it on is told why it cannot be; whoever switches it off is not.
    change(&node.api(), &json!({"ollama_port": false}))?;
    let (status, failure) = node
        .api()
        .patch("/admin/settings", &json!({"ollama_port": true}))?;
    assert_eq!(status, 400, "{failure}");
    let (_, settings) = node.api().get("/admin/settings")?;
    assert_eq!(settings["ollama_port"], false);
    Ok(())
}
