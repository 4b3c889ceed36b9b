//! A short storm of clients over one node: every request ends with an answer or a reason, and nothing is left behind.

use std::time::Duration;

use anyhow::Result;
use tests::checkpoints::sprout_with_context;
use tests::footprint::Footprint;
use tests::nodes::{Node, NodeOptions};
use tests::storm::{Storm, wait_for_calm};

const STORM: Duration = Duration::from_secs(8);
/// Sockets of connections that clients keep open for their next request.
const FILES_MORE_MAX: usize = 16;
/// Allocators keep some of what they once had; it is a short storm, which has not filled everything yet. `measure churn`
/// is stricter.
const GROWTH_KB_MAX: u64 = 16 << 10;

#[test]
fn a_storm_of_clients_leaves_nothing_behind() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let other = folder.path().join("other-sprout");
    sprout_with_context(&other, 1000)?;
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let apis = [node.api()];
    let blow = |seed| {
        let storm = Storm {
            seed,
            clients: 6,
            lasts: STORM,
            stays: "sprout".into(),
            switches: other.to_string_lossy().into_owned(),
        };
        storm.blow(&apis)
    };
    blow(1)?;
    wait_for_calm(&apis)?;
    let before = Footprint::of(node.process())?;
    let ends = blow(2)?;
    wait_for_calm(&apis)?;
    let after = Footprint::of(node.process())?;
    println!("{ends:#?}\n{before:?}\n{after:?}");
    assert!(ends.values().sum::<usize>() > 30, "{ends:#?}");
    assert!(after.memory_kb < before.memory_kb + GROWTH_KB_MAX);
    assert!(after.files <= before.files + FILES_MORE_MAX);
    assert_eq!(
        node.worker_processes().len(),
        1,
        "the other model's is gone"
    );
    Ok(())
}
