//! Hosts on a bridge, found by mDNS alone; and what happens when a cable is pulled.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tests::namespaces::Namespaces;
use tests::nodes::{Node, NodeOptions};

const LIMIT: Duration = Duration::from_secs(30);

fn start(hosts: &Namespaces, host: usize) -> Result<Node> {
    Node::start(&NodeOptions {
        cluster_key: Some("hosts".into()),
        discover: Some("all"),
        namespace: Some(hosts.name(host).to_string()),
        ..NodeOptions::default()
    })
}

#[test]
fn hosts_find_each_other_share_a_model_and_outlive_a_pulled_cable() -> Result<()> {
    if !Namespaces::possible() {
        eprintln!("skipped: network namespaces need root on Linux");
        return Ok(());
    }
    let hosts = Namespaces::make(2)?;
    let nodes = [start(&hosts, 0)?, start(&hosts, 1)?];
    let api = nodes[0].api();
    let other = nodes[1].api();
    hosts.inside(1, || other.wait_for_nodes(2, LIMIT))??;
    hosts.inside(0, || -> Result<()> {
        api.wait_for_nodes(2, LIMIT)?;
        let id = api.place("sprout", "pipeline", 2)?;
        let instance = api.wait_ready(&id, LIMIT)?;
        assert_eq!(instance["shards"].as_array().map(Vec::len), Some(2), "{instance}");
        let body = json!({"model": "sprout", "prompt": "Count from 1 to 90.", "max_tokens": 240, "stream": true,
                          "temperature": 0, "ignore_eos": true});
        let undisturbed = api.stream("/v1/completions", &body, |_| ())?;
        let disturbed = api.stream("/v1/completions", &body, |pieces| {
            if pieces == 20 {
                hosts.set_cable(1, false).unwrap();
            }
        })?;
        assert_eq!(disturbed.text, undisturbed.text);
        assert!(disturbed.pause_max() < LIMIT, "{:?}", disturbed.pause_max());
        hosts.set_cable(1, true)?;
        api.wait_for_nodes(2, LIMIT)?; // and they find each other again
        Ok(())
    })??;
    Ok(())
}
