//! The window, in a real browser, on a real cluster of three: load, chat, lose a node, unload; by pointer and by
//! keyboard alone; and axe-core on every page.

use std::time::Duration;

use anyhow::Result;
use tests::browser::Script;
use tests::nodes::{Node, NodeOptions, start_named_cluster};

/// Half a minute on a machine of one's own.
const FLOW_LIMIT: Duration = Duration::from_mins(4);
/// A few clicks.
const PAIR_LIMIT: Duration = Duration::from_mins(2);

#[test]
fn the_window_loads_chats_recovers_and_unloads() -> Result<()> {
    let mut cluster = start_named_cluster(&["oak", "elm", "birch"])?;
    let base = format!("http://127.0.0.1:{}", cluster[0].port);
    let mut script = Script::start("flow.mjs", &[&base, "birch"], FLOW_LIMIT)?;
    assert_eq!(script.line()?, "kill");
    cluster[2].kill();
    script.go_on()?;
    assert_eq!(script.line()?, "ok");
    Ok(())
}

#[test]
fn two_windows_pair_their_computers_and_part_them() -> Result<()> {
    let start = |name: &str, peers: Vec<String>| {
        Node::start(&NodeOptions {
            peers,
            arguments: vec!["--name".into(), name.into()],
            ..NodeOptions::default()
        })
    };
    let host = start("Host", Vec::new())?;
    let guest = start("Guest", vec![format!("127.0.0.1:{}", host.peer_port)])?;
    let base = |node: &Node| format!("http://127.0.0.1:{}", node.port);
    let script = Script::start("pair.mjs", &[&base(&host), &base(&guest)], PAIR_LIMIT)?;
    assert_eq!(script.line()?, "ok");
    Ok(())
}
