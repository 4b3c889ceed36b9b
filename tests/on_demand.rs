//! Models that are loaded when asked for, make room for each other, and answer from several places.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::api::{Api, StreamedAnswer};
use tests::folder::make_sprig;
use tests::nodes::{Node, NodeOptions, start_cluster};

/// Far beyond what loading Sprout takes.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// A worker for Sprout is planned with about 290 MB: room for one, not for two.
const ROOM_FOR_ONE: &str = "450000000";

/// The models that a node shows as ready.
fn ready(api: &Api) -> Result<Vec<String>> {
    let state = api.state()?;
    let instances = state["instances"].as_array().context("instances")?;
    let ready = instances.iter().filter(|one| one["state"] == "ready");
    Ok(ready
        .filter_map(|one| one["model"].as_str().map(str::to_owned))
        .collect())
}

fn wait_until_idle(api: &Api) -> Result<()> {
    api.wait_for("idle models", READY_LIMIT, |state| {
        let instances = state["instances"].as_array();
        instances.is_some_and(|all| all.iter().all(|one| one["activity"].is_null()))
    })?;
    Ok(())
}

fn long_request(seed: usize) -> Value {
    json!({"model": "sprout", "prompt": "Count from 1 to 90.", "max_tokens": 300, "stream": true,
           "temperature": 0.8, "seed": seed, "ignore_eos": true})
}

#[test]
fn a_model_nobody_uses_makes_room_for_another() -> Result<()> {
    let models = tempfile::tempdir()?;
    make_sprig(models.path(), "sprig")?;
    let node = Node::start(&NodeOptions {
        arguments: vec!["--lend-memory".into(), ROOM_FOR_ONE.into()],
        ..NodeOptions::default()
    })?;
    let api = node.api();
    api.patch(
        "/admin/settings",
        &json!({"model_folders": [models.path()]}),
    )?;
    let hello = json!("Hello");
    api.complete("sprout", &hello, 4)?;
    assert_eq!(ready(&api)?, ["sprout"]);
    wait_until_idle(&api)?;
    api.complete("sprig", &hello, 4)?;
    assert_eq!(ready(&api)?, ["sprig"]);

    // One in use does not, and whoever asks is told what would help.
    let busy = api.clone();
    let asked = json!({"model": "sprig", "prompt": "Count.", "max_tokens": 400, "stream": true,
                       "ignore_eos": true});
    let refused = thread::spawn({
        let api = api.clone();
        move || {
            api.wait_for("an answer under way", READY_LIMIT, |state| {
                state["instances"][0]["activity"]["answering"] == 1
            })?;
            api.post(
                "/v1/completions",
                &json!({"model": "sprout", "prompt": "Hello"}),
            )
        }
    });
    let answer = busy.stream("/v1/completions", &asked, |_| ())?;
    assert_eq!(answer.finish_reason.as_deref(), Some("length"));
    let (status, error) = refused.join().expect("no panic")?;
    assert_eq!(status, 409, "{error}");
    assert!(error.to_string().contains("sprig"), "{error}");

    // What a user opened stays while another user could be told, and goes for a request.
    wait_until_idle(&api)?;
    let id = api.place("sprout", "auto", 1)?;
    api.wait_ready(&id, READY_LIMIT)?;
    assert_eq!(ready(&api)?, ["sprout"]);
    let (status, error) = api.post("/admin/instances", &json!({"model": "sprig"}))?;
    assert_eq!(status, 409, "{error}");
    wait_until_idle(&api)?;
    api.complete("sprig", &hello, 4)?;
    assert_eq!(ready(&api)?, ["sprig"]);
    Ok(())
}

#[test]
fn a_burst_for_a_model_that_is_not_loaded_loads_it_once() -> Result<()> {
    let node = Node::start(&NodeOptions::default())?;
    let asking: Vec<_> = (0..12)
        .map(|_| {
            let api = node.api();
            thread::spawn(move || api.complete("sprout", &json!("Hello"), 4))
        })
        .collect();
    for asked in asking {
        asked.join().expect("no panic")?;
    }
    assert_eq!(ready(&node.api())?, ["sprout"]);
    Ok(())
}

/// Two nodes with an instance of Sprout each.
fn replicated() -> Result<Vec<Node>> {
    let cluster = start_cluster(2)?;
    let api = cluster[0].api();
    let wish = json!({"model": "sprout", "replicas": 2});
    let (status, opened) = api.post("/admin/instances", &wish)?;
    assert_eq!(status, 202, "{opened}");
    let ids = opened["ids"].as_array().context("ids")?;
    let mut nodes = Vec::new();
    for id in ids {
        let instance = api.wait_ready(id.as_str().context("id")?, READY_LIMIT)?;
        nodes.push(instance["shards"][0]["node_id"].clone());
    }
    ensure!(nodes.len() == 2 && nodes[0] != nodes[1], "{nodes:?}");
    Ok(cluster)
}

#[test]
fn replicas_share_the_requests_and_one_goes_on_for_another() -> Result<()> {
    let mut cluster = replicated()?;
    let api = cluster[0].api();
    let alone: Vec<StreamedAnswer> = (0..2)
        .map(|seed| api.stream("/v1/completions", &long_request(seed), |_| ()))
        .collect::<Result<_>>()?;
    let asking: Vec<_> = (0..6)
        .map(|seed| {
            let api = cluster[0].api();
            thread::spawn(move || api.stream("/v1/completions", &long_request(seed), |_| ()))
        })
        .collect();
    api.wait_for("answers on both", READY_LIMIT, |state| {
        let answering = |index: usize| {
            let activity = &state["instances"][index]["activity"];
            activity["answering"].as_u64().unwrap_or(0)
        };
        answering(0) == 3 && answering(1) == 3
    })?;
    let killed = Instant::now();
    cluster[1].kill();
    for (seed, asked) in asking.into_iter().enumerate() {
        let answer = asked.join().expect("no panic")?;
        if let Some(alone) = alone.get(seed) {
            assert_eq!(answer.text, alone.text, "seed {seed}");
        }
    }
    eprintln!(
        "all answers were whole {:?} after the loss",
        killed.elapsed()
    );
    Ok(())
}
