//! `cargo run -p tests --bin screenshots`: pictures of every page, light and dark, into `ui/screenshots`.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use tests::browser::Script;
use tests::nodes::{Node, NodeOptions, start_named_cluster};

/// Twenty pictures.
const LIMIT: Duration = Duration::from_mins(4);
const READY_LIMIT: Duration = Duration::from_mins(1);
/// They are kept in the repository.
const PICTURE_BYTES_MAX: u64 = 120 << 10;

fn main() -> Result<()> {
    let cluster = start_named_cluster(&["oak", "elm", "birch"])?;
    let api = cluster[0].api();
    let id = api.place("sprout", "pipeline", cluster.len())?;
    api.wait_ready(&id, READY_LIMIT)?;
    let ash = newcomer("ash", Vec::new())?;
    let yew = newcomer("yew", vec![format!("127.0.0.1:{}", ash.peer_port)])?;
    let folder = tests::folder::of_tests("../ui/screenshots");
    let base = |node: &Node| format!("http://127.0.0.1:{}", node.port);
    let script = Script::start(
        "screenshots.mjs",
        &[&base(&cluster[0]), &base(&yew), &folder.to_string_lossy()],
        LIMIT,
    )?;
    ensure!(script.line()? == "ok", "the script did not end well");
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let bytes = entry.metadata()?.len();
        let name = entry.file_name();
        println!("{} {bytes} bytes", name.display());
        ensure!(
            bytes <= PICTURE_BYTES_MAX,
            "{} is too large",
            name.display()
        );
    }
    Ok(())
}

/// A computer that is in no cluster yet.
fn newcomer(name: &str, peers: Vec<String>) -> Result<Node> {
    Node::start(&NodeOptions {
        peers,
        arguments: vec!["--name".into(), name.into()],
        ..NodeOptions::default()
    })
}
