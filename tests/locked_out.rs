//! A node with a wrong key, or none, sees that a cluster is there and gets nothing from it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Result;
use tests::api::online_nodes;
use tests::nodes::{Node, NodeOptions};

fn node(key: Option<&str>, discover: Option<&'static str>, peers: Vec<String>) -> Result<Node> {
    let cluster_key = key.map(str::to_string);
    Node::start(&NodeOptions {
        cluster_key,
        discover,
        peers,
        ..NodeOptions::default()
    })
}

#[test]
fn without_the_key_a_node_is_visible_and_locked_out() -> Result<()> {
    let member = node(Some("right"), None, Vec::new())?;
    let address = format!("127.0.0.1:{}", member.peer_port);
    let instance = member.api().place("sprout", "auto", 1)?;
    for key in [Some("wrong"), None] {
        let outsider = node(key, None, vec![address.clone()])?;
        std::thread::sleep(Duration::from_secs(2)); // long enough for a link to come up, were it allowed
        for (who, state) in [
            ("outsider", outsider.api().state()?),
            ("member", member.api().state()?),
        ] {
            assert_eq!(
                online_nodes(&state),
                1,
                "{who} with {key:?} let the other in: {state}"
            );
        }
        let state = outsider.api().state()?;
        let nodes = state["nodes"].as_array().map_or(&[][..], Vec::as_slice);
        let locked = nodes.iter().find(|node| node["state"] == "locked");
        let reason = locked
            .and_then(|node| node["reason"].as_str())
            .unwrap_or_default();
        assert!(reason.ends_with("(cluster espalier)"), "{key:?}: {state}");
        assert_eq!(
            state["instances"].as_array().map(Vec::len),
            Some(0),
            "{state}"
        );
        let (status, _) = outsider
            .api()
            .get(&format!("/admin/instances/{instance}"))?;
        assert_eq!(status, 404);
        assert_eq!(
            outsider
                .api()
                .delete(&format!("/admin/instances/{instance}"))?,
            404
        );
    }
    member
        .api()
        .wait_ready(&instance, Duration::from_secs(30))?;
    Ok(())
}

#[test]
fn discovered_without_the_key_it_shows_the_cluster_as_locked() -> Result<()> {
    let _member = node(Some("right"), Some("loopback"), Vec::new())?;
    let outsider = node(None, Some("loopback"), Vec::new())?;
    outsider
        .api()
        .wait_for("locked node", Duration::from_secs(10), |state| {
            let nodes = state["nodes"].as_array().map_or(&[][..], Vec::as_slice);
            nodes.iter().any(|node| node["state"] == "locked")
        })?;
    Ok(())
}

#[test]
fn what_is_not_a_handshake_is_dropped_in_time() -> Result<()> {
    let member = node(Some("right"), None, Vec::new())?;
    for garbage in [
        &b"GET /admin/state HTTP/1.1\r\n\r\n"[..],
        &[0; 4096],
        &vec![0xff; 70_000],
        b"\x16\x03\x01\xff\xff",
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", member.peer_port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let _ = stream.write_all(garbage);
        let start = Instant::now();
        let mut answer = Vec::new();
        let _ = stream.take(100_000).read_to_end(&mut answer);
        assert!(
            start.elapsed() < Duration::from_secs(9),
            "a connection without a handshake was kept"
        );
        assert!(
            answer.len() < 64,
            "answered {} bytes to garbage",
            answer.len()
        );
    }
    assert_eq!(online_nodes(&member.api().state()?), 1);
    Ok(())
}
