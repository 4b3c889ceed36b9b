//! Plans over real nodes that prefer those that have the model, and nodes that lack it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::api::Api;
use tests::folder::make_sprig;
use tests::nodes::{Node, start_cluster};

/// Far beyond what loading Sprout takes.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// What a node has on its disks is told at once when its settings change.
const TOLD_LIMIT: Duration = Duration::from_secs(10);

/// Three nodes with Sprout; the second has `oak` besides, the third `sprig`, the first, which is asked, both.
struct Orchard {
    nodes: Vec<Node>,
    folders: Vec<TempDir>,
}

impl Orchard {
    fn start() -> Result<Self> {
        let nodes = start_cluster(3)?;
        let mut folders = Vec::new();
        for (node, models) in nodes
            .iter()
            .zip([&["oak", "sprig"][..], &["oak"], &["sprig"]])
        {
            let folder = tempfile::tempdir()?;
            for model in models {
                make_sprig(folder.path(), model)?;
            }
            let settings = json!({"model_folders": [folder.path()]});
            let (status, answer) = node.api().patch("/admin/settings", &settings)?;
            assert_eq!(status, 200, "{answer}");
            folders.push(folder);
        }
        Ok(Self { nodes, folders })
    }

    fn api(&self) -> Api {
        self.nodes[0].api()
    }

    /// The nodes, by their numbers, that a plan or an instance is divided over.
    fn nodes_of(&self, divided: &Value) -> Result<Vec<usize>> {
        let shards = divided["shards"].as_array().context("shards")?;
        let number = |shard: &Value| {
            let mut nodes = self.nodes.iter();
            nodes.position(|node| shard["node_id"] == node.id.as_str())
        };
        let numbers: Option<Vec<usize>> = shards.iter().map(number).collect();
        let mut numbers = numbers.context("a node that is none of these")?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Waits until the best plan for a model is over these nodes.
    fn wait_for_plan(&self, wish: &Value, nodes: &[usize]) -> Result<()> {
        let start = Instant::now();
        loop {
            let (status, answer) = self.api().post("/admin/plan", wish)?;
            assert_eq!(status, 200, "{answer}");
            if self.nodes_of(&answer["placements"][0])? == nodes {
                return Ok(());
            }
            if start.elapsed() > TOLD_LIMIT {
                bail!("{wish} is planned elsewhere than on {nodes:?}: {answer}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_model_is_placed_on_the_nodes_that_have_it() -> Result<()> {
    let orchard = Orchard::start()?;
    let api = orchard.api();
    // Whichever node comes first for another reason, of two models on different nodes one tells.
    for (model, nodes) in [("oak", [0, 1]), ("sprig", [0, 2])] {
        let wish = json!({"model": model, "sharding": "pipeline"});
        orchard.wait_for_plan(&wish, &nodes)?;
        let id = api.open(&wish)?;
        let instance = api.wait_ready(&id, READY_LIMIT)?;
        assert_eq!(orchard.nodes_of(&instance)?, nodes, "{model}");
        assert_eq!(instance["generation"], 1, "{instance}");
        assert!(!api.complete(model, &json!("Hello"), 4)?.is_empty());
        api.close(&id)?;
    }
    Ok(())
}

#[test]
fn an_instance_whose_files_are_gone_says_so_when_it_is_placed_anew() -> Result<()> {
    let orchard = Orchard::start()?;
    let api = orchard.api();
    let wish = json!({"model": "sprig", "sharding": "pipeline"});
    orchard.wait_for_plan(&wish, &[0, 2])?;
    let id = api.open(&wish)?;
    api.wait_ready(&id, READY_LIMIT)?;
    for index in [0, 2] {
        fs::remove_dir_all(orchard.folders[index].path().join("sprig"))?;
    }
    let workers = orchard.nodes[2].worker_processes();
    ensure!(workers.len() == 1, "{workers:?}");
    kill(Pid::from_raw(workers[0]), Signal::SIGKILL)?;
    // Each node looks for the files before it takes ports, and none has them.
    let path = format!("/admin/instances/{id}");
    let start = Instant::now();
    let failed = loop {
        let (_, instance) = api.get(&path)?;
        if instance["state"] == "failed" {
            break instance;
        }
        assert!(start.elapsed() < READY_LIMIT, "{instance}");
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(failed["error"]["code"], "model_not_found", "{failed}");
    Ok(())
}
