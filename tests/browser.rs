//! The window, in a real browser, on a real cluster of three: load, chat, lose a node, unload; by pointer and by
//! keyboard alone; and axe-core on every page.

use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tests::browser::Script;
use tests::desktop::wait_for;
use tests::hub::trial::REPOSITORY;
use tests::hub::{Fault, Faults, TestHub, model, of_folder};
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

/// Two computers; the guest is told where the host is.
fn host_and_guest(data: &[TempDir; 2]) -> Result<[Node; 2]> {
    let start = |name: &str, data: &TempDir, peers: Vec<String>| {
        Node::start(&NodeOptions {
            peers,
            data: Some(data.path().to_path_buf()),
            arguments: vec!["--name".into(), name.into()],
            ..NodeOptions::default()
        })
    };
    let host = start("Host", &data[0], Vec::new())?;
    let guest = start(
        "Guest",
        &data[1],
        vec![format!("127.0.0.1:{}", host.peer_port)],
    )?;
    Ok([host, guest])
}

#[test]
fn two_windows_pair_their_computers_which_come_back_and_part() -> Result<()> {
    let data = [tempfile::tempdir()?, tempfile::tempdir()?];
    let bases = |nodes: &[Node; 2]| {
        nodes
            .each_ref()
            .map(|node| format!("http://127.0.0.1:{}", node.port))
    };
    let nodes = host_and_guest(&data)?;
    let [host, guest] = bases(&nodes);
    let mut script = Script::start("pair.mjs", &[&host, &guest], PAIR_LIMIT)?;
    assert_eq!(script.line()?, "restart");
    // They end without a goodbye, which may be before the disk has it.
    for data in &data {
        let roster = data.path().join("roster");
        wait_for("the roster is kept", || Ok(roster.is_file()))?;
    }
    drop(nodes);
    let nodes = host_and_guest(&data)?;
    script.say(&bases(&nodes).join(" "))?;
    assert_eq!(script.line()?, "ok");
    Ok(())
}

#[test]
fn the_window_downloads_models_and_deletes_them() -> Result<()> {
    let hub = TestHub::start(model(1, 1))?;
    let node = Node::start(&NodeOptions {
        hub: Some(hub.endpoint()),
        ..NodeOptions::default()
    })?;
    hub.publish(of_folder(&node.data().join("models/sprout"))?);
    hub.contents().piece_pause = Duration::from_millis(5);
    let base = format!("http://127.0.0.1:{}", node.port);
    let mut script = Script::start("downloads.mjs", &[&base, REPOSITORY], FLOW_LIMIT)?;
    assert_eq!(script.line()?, "break");
    hub.contents().faults = Faults::always(|_| Fault::Broken);
    script.go_on()?;
    assert_eq!(script.line()?, "mend");
    hub.contents().faults = Faults::default();
    script.go_on()?;
    assert_eq!(script.line()?, "ok");
    Ok(())
}
