//! A storm of clients, twice: the first fills what is meant to be filled, the second must leave everything as it was.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::checkpoints::sprout_with_context;
use tests::footprint::Footprint;
use tests::nodes::{Node, start_cluster};
use tests::storm::{Storm, wait_for_calm};

/// For the model that stays to be ready.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// What a node and its workers may hold more after the storm than before, in percent.
const GROWTH_PERCENT_MAX: u64 = 5;

pub fn measure(minutes: f64, clients: usize, seed: u64) -> Result<()> {
    for count in [1, 2] {
        over(count, minutes, clients, seed)?;
    }
    Ok(())
}

fn over(count: usize, minutes: f64, clients: usize, seed: u64) -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("espalier-churn-")
        .tempdir()?;
    let other = folder.path().join("other-sprout");
    sprout_with_context(&other, 1000)?;
    let nodes = start_cluster(count)?;
    let apis: Vec<_> = nodes.iter().map(Node::api).collect();
    let id = apis[0].place("sprout", "pipeline", count)?;
    apis[0].wait_ready(&id, READY_LIMIT)?;
    let storm = |seed: u64, minutes: f64| Storm {
        seed,
        clients,
        lasts: Duration::from_secs_f64(minutes * 60.0),
        stays: "sprout".into(),
        switches: other.to_string_lossy().into_owned(),
    };
    storm(seed, minutes).blow(&apis)?;
    wait_for_calm(&apis)?;
    let before = footprints(&nodes)?;
    let ends = storm(seed + 1, minutes).blow(&apis)?;
    wait_for_calm(&apis)?;
    let after = footprints(&nodes)?;
    println!("{count} nodes, {clients} clients, {minutes} minutes:");
    for (end, times) in &ends {
        println!("  {times:>6}  {end}");
    }
    for (node, (before, after)) in before.iter().zip(&after).enumerate() {
        println!("  node {node} with its workers: {before:?} before, {after:?} after");
        let most = before.memory_kb * (100 + GROWTH_PERCENT_MAX) / 100;
        ensure!(after.memory_kb <= most, "memory grew");
    }
    Ok(())
}

/// What each node holds together with its workers.
fn footprints(nodes: &[Node]) -> Result<Vec<Footprint>> {
    let of = |node: &Node| {
        let workers = node.worker_processes().into_iter();
        let workers = workers.filter_map(|process| u32::try_from(process).ok());
        Footprint::of_all(workers.chain([node.process()]))
    };
    nodes.iter().map(of).collect()
}
