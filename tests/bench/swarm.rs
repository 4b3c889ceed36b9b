//! Three computers that want the same model of a hub at the same time, on links of limited speed between network namespaces:
//! what the hub sends, and how long it takes, beside one of them alone.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;
use tests::api::Api;
use tests::hub::trial::{REPOSITORY, check_files};
use tests::hub::{Snapshot, TestHub, model_of};
use tests::namespaces::Namespaces;
use tests::nodes::{Node, NodeOptions};

/// The hub's host; the nodes' are those after it.
const HUB: usize = 0;
const NODES: usize = 3;
const KEY: &str = "four random garden words";
/// The slowest link that is of use takes some minutes.
const LIMIT: Duration = Duration::from_mins(10);

/// What is fetched, and how.
#[derive(Debug, Args)]
pub struct Trial {
    /// How large the model is.
    #[arg(long, default_value_t = 1000)]
    megabytes: usize,
    /// Into how many files it is divided.
    #[arg(long, default_value_t = 1)]
    files: usize,
    /// How fast each link is, that of the hub too.
    #[arg(long, default_value_t = 400)]
    megabits: u32,
    /// Each is asked for itself, so many seconds after the one before, instead of all at once.
    #[arg(long)]
    apart: Option<f64>,
    /// How often.
    #[arg(long, default_value_t = 1)]
    runs: usize,
}

pub fn measure(trial: &Trial) -> Result<()> {
    ensure!(
        Namespaces::possible(),
        "network namespaces need root on Linux"
    );
    let snapshot = model_of(
        1,
        &vec![trial.megabytes * 1_000_000 / trial.files; trial.files],
    );
    let hosts = Namespaces::make(1 + NODES)?;
    for host in 0..=NODES {
        hosts.limit(host, trial.megabits)?;
    }
    let address = hosts.address(HUB);
    let hub = hosts.inside(HUB, || TestHub::start_at(address, snapshot.clone()))??;
    let (mut times, mut bytes) = (vec![], vec![]);
    for _ in 0..trial.runs {
        let (alone, _) = fetch(&hosts, &hub, &snapshot, 1, None)?;
        let (together, sent) = fetch(&hosts, &hub, &snapshot, NODES, trial.apart)?;
        let sent = sent as f64 / total(&snapshot) as f64;
        println!(
            "one alone {:.1} s; {NODES} at once {:.1} s, the hub sent the model {sent:.3} times",
            alone.as_secs_f64(),
            together.as_secs_f64()
        );
        times.push(together.as_secs_f64() / alone.as_secs_f64());
        bytes.push(sent);
    }
    println!("time, to one alone:    {}", crate::spread(&times));
    println!("sent, to the model:    {}", crate::spread(&bytes));
    Ok(())
}

/// Lets a new cluster of `count` nodes fetch the model, all at the wish of the first or one after the other: how long until the last one has it, and
/// how many bytes the hub sent.
fn fetch(
    hosts: &Namespaces,
    hub: &TestHub,
    snapshot: &Snapshot,
    count: usize,
    apart: Option<f64>,
) -> Result<(Duration, u64)> {
    hub.contents().sent.clear();
    let mut nodes: Vec<Node> = Vec::new();
    for host in 1..=count {
        let peers = (1..).zip(&nodes);
        let peers = peers.map(|(host, node)| format!("{}:{}", hosts.address(host), node.peer_port));
        let node = Node::start(&NodeOptions {
            cluster_key: Some(KEY.to_owned()),
            peers: peers.collect(),
            namespace: Some(hosts.name(host).to_owned()),
            hub: Some(hub.endpoint()),
            ..NodeOptions::default()
        });
        nodes.push(node?);
    }
    let first = nodes[0].api();
    hosts.inside(1, || first.wait_for_nodes(count, Duration::from_secs(30)))??;
    let begin = Instant::now();
    let wish = json!({"model": REPOSITORY, "everywhere": apart.is_none()});
    let asked = if apart.is_some() {
        &nodes[..]
    } else {
        &nodes[..1]
    };
    for (host, node) in (1..).zip(asked) {
        let api = node.api();
        let (status, answer) = hosts.inside(host, || api.post_any("/admin/downloads", &wish))??;
        ensure!(status == 204, "{status} {answer}");
        sleep(Duration::from_secs_f64(apart.unwrap_or_default()));
    }
    for (host, node) in (1..).zip(&nodes) {
        let api = node.api();
        let done = hosts.inside(host, || until_whole(&api, begin))?;
        done.with_context(|| node.log())?;
    }
    let took = begin.elapsed();
    for node in &nodes {
        check_files(snapshot, &node.data().join("models").join(REPOSITORY))?;
    }
    Ok((took, hub.contents().sent.values().sum()))
}

fn until_whole(api: &Api, begin: Instant) -> Result<()> {
    // Ends with the limit at the latest.
    loop {
        let list = api.get("/admin/downloads")?.1;
        let download = &list["downloads"][0];
        if download["state"] == "done" {
            return Ok(());
        }
        ensure!(download["state"] != "failed", "{list}");
        ensure!(begin.elapsed() < LIMIT, "the download does not end: {list}");
        sleep(Duration::from_millis(20));
    }
}

fn total(snapshot: &Snapshot) -> usize {
    snapshot.files.values().map(|file| file.bytes.len()).sum()
}
