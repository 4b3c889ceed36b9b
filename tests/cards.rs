//! What a node says of a model that is on a hub, before any of it is downloaded.

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::hub::large::{deepseek_v3, deepseek_v3_8bit};
use tests::hub::trial::REPOSITORY;
use tests::hub::{RepositoryFile, Snapshot, TestHub};
use tests::nodes::{Node, NodeOptions};

/// Of 700 GB.
const FETCHED_BYTES_MAX: u64 = 2_000_000;

fn look(hub: &TestHub) -> Result<Value> {
    let node = Node::start(&NodeOptions {
        hub: Some(hub.endpoint()),
        ..NodeOptions::default()
    })?;
    let (status, found) = node.api().get(&format!("/admin/hub/{REPOSITORY}"))?;
    ensure!(status == 200, "{status}: {found}");
    Ok(found)
}

fn check(snapshot: Snapshot, weights_bytes: u64, active_bytes: u64) -> Result<()> {
    let bytes: u64 = snapshot.files.values().map(RepositoryFile::size).sum();
    ensure!(bytes > 650_000_000_000, "{bytes} bytes in all");
    let hub = TestHub::start(snapshot)?;
    let found = look(&hub)?;
    let sent: u64 = hub.contents().sent.values().sum();
    println!("{sent} bytes were sent of {bytes}: {found}");
    ensure!(sent < FETCHED_BYTES_MAX, "{sent} bytes were sent");
    assert_eq!(found["bytes"], bytes);
    assert_eq!(found["layers"], 61);
    assert_eq!(found["context_tokens"], 163_840);
    assert_eq!(found["weights_bytes"], weights_bytes);
    assert_eq!(found["active_bytes"], active_bytes);
    assert_eq!(found["refusal"]["code"], "not_enough_memory");
    Ok(())
}

#[test]
fn a_model_of_700_gb_is_known_by_its_headers() -> Result<()> {
    check(deepseek_v3_8bit(), 0, 0)
}

#[test]
fn where_headers_are_long_too_some_of_them_will_do() -> Result<()> {
    check(deepseek_v3(), 0, 0)
}
