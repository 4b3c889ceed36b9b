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

/// Elements of a layer's attention, of a dense layer, of an expert, of a router, of an embedding.
const ATTENTION: u64 = 1536 * 7168 + 24_576 * 1536 + 576 * 7168 + 32_768 * 512 + 7168 * 16_384;
const DENSE: u64 = 3 * 18_432 * 7168;
const EXPERT: u64 = 3 * 2048 * 7168;
const ROUTER: u64 = 256 * 7168;
const EMBEDDING: u64 = 129_280 * 7168;

/// Bytes of what has 16 bits in any form: norms and routers; and the routers' corrections, which have 32.
const PLAIN: u64 = 2 * (61 * (2 * 7168 + 1536 + 512) + 58 * ROUTER + 7168) + 58 * 256 * 4;

/// Elements of all that is quantized, where so many experts of each layer count.
fn quantized(experts: u64, embeddings: u64) -> u64 {
    61 * ATTENTION + 3 * DENSE + 58 * (experts + 1) * EXPERT + embeddings * EMBEDDING
}

#[test]
fn a_model_of_700_gb_is_known_by_its_headers() -> Result<()> {
    // 8 bits, and 32 more for each group of 64.
    let bytes = |elements: u64| elements * 17 / 16 + PLAIN;
    let held = bytes(quantized(256, 2));
    check(deepseek_v3_8bit(), held, bytes(quantized(8, 1)))
}

#[test]
fn where_headers_are_long_too_some_of_them_will_do() -> Result<()> {
    // FP8 is held as bfloat16.
    let bytes = |elements: u64| elements * 2 + PLAIN;
    let held = bytes(quantized(256, 2));
    check(deepseek_v3(), held, bytes(quantized(8, 1)))
}
