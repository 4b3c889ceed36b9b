//! The cluster as a mirror: real nodes on this machine, of which one has what another one wants.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::api::Api;
use tests::hub::trial::{REPOSITORY, check_files};
use tests::hub::{Snapshot, TestHub, model_of};
use tests::nodes::{Node, NodeOptions};

/// No download of these tests takes as long.
const LIMIT: Duration = Duration::from_mins(1);
const KEY: &str = "four random garden words";
/// Nobody listens there.
const NO_HUB: &str = "http://127.0.0.1:9";

/// A node, and its data folder.
struct Member {
    node: Node,
    data: TempDir,
}

impl Member {
    fn start(options: NodeOptions) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let node = Node::start(&NodeOptions {
            data: Some(data.path().to_owned()),
            cluster_key: Some(options.cluster_key.unwrap_or_else(|| KEY.to_owned())),
            ..options
        })?;
        Ok(Self { node, data })
    }

    /// One that has the model, and the hub that it came from, which counts anew from now on.
    fn with_model(snapshot: &Snapshot) -> Result<(Self, TestHub)> {
        let hub = TestHub::start(snapshot.clone())?;
        let member = Self::start(NodeOptions {
            hub: Some(hub.endpoint()),
            ..NodeOptions::default()
        })?;
        member.pull()?;
        member.wait_done()?;
        hub.contents().sent.clear();
        Ok((member, hub))
    }

    /// A member of the cluster of others, linked to all of them.
    fn beside(others: &[&Self], options: NodeOptions) -> Result<Self> {
        let addresses = others.iter().map(|other| other.address());
        let member = Self::start(NodeOptions {
            peers: addresses.collect(),
            ..options
        })?;
        let count = others.len() + 1;
        member
            .api()
            .wait_for_nodes(count, Duration::from_secs(15))?;
        Ok(member)
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.node.peer_port)
    }

    fn api(&self) -> Api {
        self.node.api()
    }

    fn models(&self) -> PathBuf {
        self.data.path().join("models")
    }

    fn pull(&self) -> Result<()> {
        let wish = json!({"model": REPOSITORY});
        let (status, answer) = self.api().post_any("/admin/downloads", &wish)?;
        ensure!(status == 204, "{status} {answer}");
        Ok(())
    }

    /// It is to be fetched here and by all others.
    fn pull_everywhere(&self) -> Result<()> {
        let wish = json!({"model": REPOSITORY, "everywhere": true});
        let (status, answer) = self.api().post_any("/admin/downloads", &wish)?;
        ensure!(status == 204, "{status} {answer}");
        Ok(())
    }

    /// Waits until its one download is like this.
    fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let begin = Instant::now();
        loop {
            let list = self.api().get("/admin/downloads")?.1;
            let download = &list["downloads"][0];
            if is_so(download) {
                return Ok(download.clone());
            }
            ensure!(begin.elapsed() < LIMIT, "never {what}: {list}");
            sleep(Duration::from_millis(20));
        }
    }

    fn wait_done(&self) -> Result<Value> {
        self.wait_for("done", |download| download["state"] == "done")
    }

    /// Waits until some bytes of a file are on the disk.
    fn wait_for_bytes(&self, name: &str) -> Result<()> {
        let staging = self.models().join(".downloads").join(REPOSITORY);
        let partial = staging.join("partial").join(name);
        let begin = Instant::now();
        while fs::metadata(&partial).map_or(0, |file| file.len()) == 0 {
            ensure!(begin.elapsed() < LIMIT, "no bytes come");
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Three members that have nothing, and a hub that takes its time.
fn three(snapshot: &Snapshot) -> Result<(TestHub, [Member; 3])> {
    let hub = TestHub::start(snapshot.clone())?;
    hub.contents().piece_pause = Duration::from_millis(10);
    let with_hub = || NodeOptions {
        hub: Some(hub.endpoint()),
        log: Some("store=debug,node=debug".to_owned()),
        ..NodeOptions::default()
    };
    let first = Member::start(with_hub())?;
    let second = Member::beside(&[&first], with_hub())?;
    let third = Member::beside(&[&first, &second], with_hub())?;
    Ok((hub, [first, second, third]))
}

fn sent(hub: &TestHub) -> u64 {
    hub.contents().sent.values().sum()
}

fn size_of(snapshot: &Snapshot, name: &str) -> u64 {
    snapshot.files[name].bytes.len() as u64
}

#[test]
fn what_a_member_has_comes_from_it_with_a_hub_and_without() -> Result<()> {
    let snapshot = model_of(1, &[3_000_000, 700_000]);
    let (first, hub) = Member::with_model(&snapshot)?;
    let ways = [
        (Some(hub.endpoint()), false),
        (Some(NO_HUB.to_owned()), false),
        (None, true),
    ];
    for (hub, offline) in ways {
        let options = NodeOptions {
            hub,
            offline,
            ..NodeOptions::default()
        };
        let member = Member::beside(&[&first], options)?;
        member.pull()?;
        let done = member.wait_done()?;
        assert_eq!(done["commit"], snapshot.commit.as_str());
        assert_eq!(done["bytes_from_members"], done["bytes_total"]);
        check_files(&snapshot, &member.models().join(REPOSITORY))?;
    }
    assert_eq!(sent(&hub), 0);
    Ok(())
}

#[test]
fn what_comes_from_members_counts_for_no_limit_and_comes_from_all_of_them() -> Result<()> {
    let snapshot = model_of(2, &[6_000_000, 6_000_000, 6_000_000]);
    let (first, hub) = Member::with_model(&snapshot)?;
    let log = Some("node=debug".to_owned());
    let with_hub = || NodeOptions {
        hub: Some(hub.endpoint()),
        log: log.clone(),
        ..NodeOptions::default()
    };
    let second = Member::beside(&[&first], with_hub())?;
    second.pull()?;
    second.wait_done()?;
    let third = Member::beside(&[&first, &second], with_hub())?;
    let slow = json!({"download_bytes_per_s_max": 100_000});
    third.api().patch("/admin/settings", &slow)?;
    let begin = Instant::now();
    third.pull()?;
    third.wait_done()?;
    ensure!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    check_files(&snapshot, &third.models().join(REPOSITORY))?;
    assert_eq!(sent(&hub), 0);
    let asked = |member: &Member| member.node.log().contains("a peer wants bytes");
    ensure!(asked(&second), "only one of two lent anything");
    Ok(())
}

#[test]
fn what_all_want_at_once_comes_from_the_hub_once() -> Result<()> {
    let snapshot = model_of(6, &[3_000_000; 9]);
    let (hub, members) = three(&snapshot)?;
    members[1].pull_everywhere()?;
    for member in &members {
        let done = member.wait_done()?;
        check_files(&snapshot, &member.models().join(REPOSITORY))?;
        let lent = done["bytes_from_members"].as_u64().context("no number")?;
        ensure!(lent > 3_000_000, "this one fetched nearly all: {done}");
    }
    let total: usize = snapshot.files.values().map(|file| file.bytes.len()).sum();
    let times = sent(&hub) as f64 / total as f64;
    ensure!(times < 1.02, "the hub sent it {times} times");
    Ok(())
}

#[test]
fn of_those_who_fetch_together_one_may_die_and_another_have_no_hub() -> Result<()> {
    let snapshot = model_of(7, &[6_000_000; 6]);
    let (hub, mut members) = three(&snapshot)?;
    let others: Vec<&Member> = members.iter().collect();
    let cut_off = Member::beside(
        &others,
        NodeOptions {
            hub: Some(NO_HUB.to_owned()),
            ..NodeOptions::default()
        },
    )?;
    members[0].pull_everywhere()?;
    members[2].wait_for("under way", |download| {
        download["bytes_done"].as_u64() > Some(4_000_000)
    })?;
    members[1].node.kill();
    for member in [&members[0], &members[2], &cut_off] {
        member.wait_done()?;
        check_files(&snapshot, &member.models().join(REPOSITORY))?;
    }
    let total: usize = snapshot.files.values().map(|file| file.bytes.len()).sum();
    let times = sent(&hub) as f64 / total as f64;
    ensure!(times < 1.5, "the hub sent it {times} times");
    Ok(())
}

#[test]
fn a_member_that_dies_in_the_middle_is_made_up_for_by_the_hub() -> Result<()> {
    let snapshot = model_of(3, &[40_000_000]);
    let (mut first, hub) = Member::with_model(&snapshot)?;
    let member = Member::beside(
        &[&first],
        NodeOptions {
            hub: Some(hub.endpoint()),
            ..NodeOptions::default()
        },
    )?;
    member.pull()?;
    member.wait_for_bytes("model-0.safetensors")?;
    first.node.kill();
    let done = member.wait_done()?;
    check_files(&snapshot, &member.models().join(REPOSITORY))?;
    let total = done["bytes_total"].as_u64().context("no total")?;
    let lent = done["bytes_from_members"].as_u64().context("no number")?;
    ensure!(lent > 0 && lent < total, "{done}");
    // The last megabyte that came may have been lost with the connection.
    ensure!(
        sent(&hub) <= total - lent + (4 << 20),
        "{} and {done}",
        sent(&hub)
    );
    Ok(())
}

#[test]
fn a_file_that_has_rotted_since_it_was_verified_is_found_out() -> Result<()> {
    const ROTTEN: &str = "model-1.safetensors";
    let snapshot = model_of(4, &[2_000_000, 1_000_000]);
    let (first, hub) = Member::with_model(&snapshot)?;
    let path = first.models().join(REPOSITORY).join(ROTTEN);
    let file = fs::File::options().write(true).open(path)?;
    file.write_all_at(b"rotten", 500_000)?;
    let member = Member::beside(
        &[&first],
        NodeOptions {
            hub: Some(hub.endpoint()),
            ..NodeOptions::default()
        },
    )?;
    member.pull()?;
    let done = member.wait_done()?;
    check_files(&snapshot, &member.models().join(REPOSITORY))?;
    let whole = size_of(&snapshot, ROTTEN);
    assert_eq!(hub.contents().sent.get(ROTTEN), Some(&whole));
    let lent = done["bytes_from_members"].as_u64().context("no number")?;
    let total = done["bytes_total"].as_u64().context("no total")?;
    // What did not come from the member after all is in neither number twice.
    assert_eq!(lent + sent(&hub), total, "{done}");
    Ok(())
}

#[test]
fn a_stranger_gets_nothing() -> Result<()> {
    let snapshot = model_of(5, &[200_000]);
    let (first, _hub) = Member::with_model(&snapshot)?;
    let stranger = Member::start(NodeOptions {
        cluster_key: Some("another key".to_owned()),
        peers: vec![first.address()],
        offline: true,
        ..NodeOptions::default()
    })?;
    stranger.pull()?;
    let failed = stranger.wait_for("failed", |download| download["state"] == "failed")?;
    assert_eq!(
        (&failed["bytes_total"], &failed["commit"]),
        (&json!(0), &Value::Null)
    );
    ensure!(
        failed["error"].to_string().contains("HF_HUB_OFFLINE"),
        "{failed}"
    );
    Ok(())
}
