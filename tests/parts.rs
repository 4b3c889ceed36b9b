//! Models of a hub that no node has: each fetches what its part needs, and they answer as one that has all of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::hub::trial::REPOSITORY;
use tests::hub::{RepositoryFile, Snapshot, TestHub, of_folder};
use tests::nodes::{Node, NodeOptions, start_each};
use tests::pieces::{ENDS, LAYERS, file_of, sprout_in_files};

/// Loading is a matter of seconds, on a machine of one's own.
const READY_LIMIT: Duration = Duration::from_mins(1);
const TOKENS: usize = 16;
const PROMPT: &str = "What is Espalier? ";

/// A hub with a model in several files, a cluster that has nothing of it, and what one node says that has all of it.
struct Scene {
    hub: TestHub,
    snapshot: Snapshot,
    cluster: Vec<Node>,
    expected: String,
}

impl Scene {
    fn of(nodes: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        sprout_in_files(folder.path(), 512)?;
        let path = folder.path().to_string_lossy().into_owned();
        let alone = Node::start(&NodeOptions {
            model: Some(path),
            ..NodeOptions::default()
        })?;
        let name = folder.path().file_name().context("no name")?;
        let expected = complete(&alone, &name.to_string_lossy())?;
        let snapshot = of_folder(folder.path())?;
        let hub = TestHub::start(snapshot.clone())?;
        let options = NodeOptions {
            hub: Some(hub.endpoint()),
            ..NodeOptions::default()
        };
        let cluster = start_each(vec![options; nodes])?;
        Ok(Self {
            hub,
            snapshot,
            cluster,
            expected,
        })
    }

    /// Opens the model over so many nodes, and waits until it answers.
    fn open(&self, sharding: &str, nodes: usize) -> Result<(String, Value)> {
        let api = self.cluster[0].api();
        let id = api.place(REPOSITORY, sharding, nodes)?;
        let instance = api.wait_ready(&id, READY_LIMIT)?;
        Ok((id, instance))
    }

    /// All bytes that the hub has sent, as parts of all that it holds.
    fn sent(&self) -> f64 {
        let sent: u64 = self.hub.contents().sent.values().sum();
        let held: u64 = self.snapshot.files.values().map(RepositoryFile::size).sum();
        sent as f64 / held as f64
    }
}

fn complete(node: &Node, model: &str) -> Result<String> {
    node.api().complete(model, &json!(PROMPT), TOKENS)
}

/// What a node has of the model, if it has not all of it.
fn part_of(node: &Node) -> PathBuf {
    let models = node.data().join("models");
    models.join(".downloads").join(REPOSITORY).join("files")
}

/// The weights that a node has.
fn weights_of(node: &Node) -> Result<BTreeSet<String>> {
    let names =
        fs::read_dir(part_of(node))?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.starts_with("model-")).collect())
}

#[test]
fn each_node_fetches_its_layers_and_nobody_fetches_them_twice() -> Result<()> {
    let scene = Scene::of(2)?;
    let (_, instance) = scene.open("pipeline", 2)?;
    for shard in instance["shards"].as_array().context("no shards")? {
        let holder = scene
            .cluster
            .iter()
            .find(|node| shard["node_id"] == node.id.as_str());
        let layers = [0, 1].map(|end| shard["layers"][end].as_u64().unwrap_or(99) as u32);
        ensure!(layers != [0, LAYERS], "it is not divided: {instance}");
        let mut wanted: BTreeSet<String> = (layers[0]..layers[1]).map(file_of).collect();
        wanted.insert(ENDS.to_owned());
        assert_eq!(weights_of(holder.context("no such node")?)?, wanted);
    }
    let sent = scene.sent();
    ensure!(sent < 1.05, "{sent} of the model came from the hub");
    for node in &scene.cluster {
        assert_eq!(complete(node, REPOSITORY)?, scene.expected);
    }
    Ok(())
}

#[test]
fn tensor_ranks_fetch_all_of_it_together() -> Result<()> {
    let scene = Scene::of(2)?;
    scene.open("tensor", 2)?;
    let sent = scene.sent();
    ensure!(sent < 1.05, "{sent} of the model came from the hub");
    for node in &scene.cluster {
        let model = node.data().join("models").join(REPOSITORY);
        ensure!(model.is_dir(), "a whole model is in its place");
        assert_eq!(complete(node, REPOSITORY)?, scene.expected);
    }
    Ok(())
}

#[test]
fn what_was_fetched_is_opened_again_without_the_hub() -> Result<()> {
    let scene = Scene::of(2)?;
    let (id, _) = scene.open("pipeline", 2)?;
    scene.cluster[0].api().close(&id)?;
    scene.hub.contents().forget_all();
    scene.hub.contents().sent.clear();
    scene.open("pipeline", 2)?;
    assert_eq!(complete(&scene.cluster[1], REPOSITORY)?, scene.expected);
    assert_eq!(scene.hub.contents().sent.len(), 0);
    Ok(())
}

#[test]
fn whoever_goes_on_after_a_loss_fetches_what_it_lacks() -> Result<()> {
    let mut scene = Scene::of(3)?;
    let (_, instance) = scene.open("pipeline", 2)?;
    let shards = instance["shards"].as_array().context("no shards")?;
    let holds = |node: &Node| {
        shards
            .iter()
            .any(|shard| shard["node_id"] == node.id.as_str())
    };
    let lost = (1..3).find(|at| holds(&scene.cluster[*at]));
    scene.cluster[lost.context("only the first node has some of it")?].kill();
    let began = Instant::now();
    assert_eq!(complete(&scene.cluster[0], REPOSITORY)?, scene.expected);
    ensure!(began.elapsed() < READY_LIMIT, "{:?}", began.elapsed());
    Ok(())
}

#[test]
fn what_the_hub_forgets_before_it_is_fetched_fails_in_words() -> Result<()> {
    let scene = Scene::of(1)?;
    let api = scene.cluster[0].api();
    // What was looked at once is known for a while.
    let (status, seen) = api.get(&format!("/admin/hub/{REPOSITORY}"))?;
    ensure!(status == 200, "{status} {seen}");
    scene.hub.contents().forget_all();
    let id = api.place(REPOSITORY, "pipeline", 1)?;
    let failed = api
        .wait_ready(&id, READY_LIMIT)
        .err()
        .context("it is ready")?;
    let words = failed.to_string();
    ensure!(
        words.contains("failed") && words.contains("hint"),
        "{words}"
    );
    Ok(())
}

#[test]
fn what_no_hub_has_is_refused_in_words() -> Result<()> {
    let scene = Scene::of(1)?;
    scene.hub.contents().forget_all();
    let body = json!({"model": "ada/nothing"});
    let (status, answer) = scene.cluster[0].api().post("/admin/instances", &body)?;
    ensure!(status == 404, "{status} {answer}");
    let hint = answer["error"]["message"].as_str().unwrap_or_default();
    ensure!(hint.contains("ada/nothing"), "{answer}");
    Ok(())
}
