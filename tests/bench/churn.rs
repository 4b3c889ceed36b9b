//! A storm of clients, twice: the first fills what is meant to be filled, the second must leave everything as it was.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::checkpoints::sprout_with_context;
use tests::footprint::Footprint;
use tests::nodes::{Node, start_cluster};
use tests::storm::{Storm, wait_for_calm};

/// For the model that stays to be ready.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// Workers give memory back when they have had nothing to do for five seconds.
const REST: Duration = Duration::from_secs(15);
/// More than a node keeps for later requests to go on from.
const RESPONSES: usize = 1100;
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
    storm(seed, minutes).fill(&apis, RESPONSES)?;
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
        for (what, before, after) in [
            ("alone", before[0], after[0]),
            ("its workers", before[1], after[1]),
        ] {
            println!("  node {node} {what}: {before:?} before, {after:?} after");
        }
        let memory = |of: &[Footprint; 2]| of[0].memory_kb + of[1].memory_kb;
        let most = memory(before) * (100 + GROWTH_PERCENT_MAX) / 100;
        ensure!(memory(after) <= most, "memory grew");
    }
    Ok(())
}

/// What each node holds, and its workers, once they rest.
fn footprints(nodes: &[Node]) -> Result<Vec<[Footprint; 2]>> {
    std::thread::sleep(REST);
    let of = |node: &Node| {
        let workers = node.worker_processes().into_iter();
        let workers = workers.filter_map(|process| u32::try_from(process).ok());
        Ok([Footprint::of(node.process())?, Footprint::of_all(workers)?])
    };
    nodes.iter().map(of).collect()
}
