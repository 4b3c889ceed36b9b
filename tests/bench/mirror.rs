//! A model that one node has and another one wants, over this machine's loopback: how fast its bytes come, encrypted, written
//! and verified, beside a plain TCP copy of the same files, taking turns on the same cores.

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::hub::trial::{REPOSITORY, check_files};
use tests::hub::{Snapshot, TestHub, model_of};
use tests::nodes::{Node, NodeOptions};

/// Files of the model.
const FILES: usize = 8;
/// No copy takes longer.
const LIMIT: Duration = Duration::from_mins(5);
const KEY: &str = "four random garden words";

pub fn measure(megabytes: usize, runs: usize) -> Result<()> {
    let snapshot = model_of(1, &[megabytes * 1_000_000 / FILES; FILES]);
    let hub = TestHub::start(snapshot.clone())?;
    let lender = start(NodeOptions {
        hub: Some(hub.endpoint()),
        ..NodeOptions::default()
    })?;
    pull(&lender)?;
    until_whole(&lender)?;
    drop(hub);
    let source = lender.data().join("models").join(REPOSITORY);
    let (mut copied, mut lent, mut whole, mut ratios) = (vec![], vec![], vec![], vec![]);
    for _ in 0..runs {
        let bytes = total(&snapshot) as f64 / 1e6;
        let copy = bytes / copy(&source)?.as_secs_f64();
        let (came, verified) = borrow(&lender, &snapshot)?;
        copied.push(copy);
        lent.push(bytes / came.as_secs_f64());
        whole.push(bytes / verified.as_secs_f64());
        ratios.push(bytes / came.as_secs_f64() / copy);
    }
    println!("plain TCP copy:        {} MB/s", crate::spread(&copied));
    println!("from a member, TLS:    {} MB/s", crate::spread(&lent));
    println!("and verified, in place:{} MB/s", crate::spread(&whole));
    println!("ratio to the copy:     {}", crate::spread(&ratios));
    Ok(())
}

fn start(options: NodeOptions) -> Result<Node> {
    Node::start(&NodeOptions {
        cluster_key: Some(KEY.to_owned()),
        ..options
    })
}

fn pull(node: &Node) -> Result<()> {
    let wish = json!({"model": REPOSITORY});
    let (status, answer) = node.api().post_any("/admin/downloads", &wish)?;
    ensure!(status == 204, "{status} {answer}");
    Ok(())
}

fn total(snapshot: &Snapshot) -> u64 {
    let weights = snapshot.files.iter();
    let weights = weights.filter(|(name, _)| name.ends_with(".safetensors"));
    weights.map(|(_, file)| file.bytes.len() as u64).sum()
}

/// Lets a new member fetch it from the other one: until the last byte was there, and until the model was in its place.
fn borrow(lender: &Node, snapshot: &Snapshot) -> Result<(Duration, Duration)> {
    let borrower = start(NodeOptions {
        offline: true,
        peers: vec![format!("127.0.0.1:{}", lender.peer_port)],
        ..NodeOptions::default()
    })?;
    borrower.api().wait_for_nodes(2, Duration::from_secs(15))?;
    let begin = Instant::now();
    pull(&borrower)?;
    let all = total(snapshot);
    while bytes_there(&borrower, snapshot) < all {
        ensure!(begin.elapsed() < LIMIT, "the bytes do not come");
        thread::sleep(Duration::from_millis(2));
    }
    let came = begin.elapsed();
    until_whole(&borrower)?;
    let verified = begin.elapsed();
    check_files(snapshot, &borrower.data().join("models").join(REPOSITORY))?;
    Ok((came, verified))
}

/// Bytes of weights on a node's disk, verified or not.
fn bytes_there(node: &Node, snapshot: &Snapshot) -> u64 {
    let models = node.data().join("models");
    let staging = models.join(".downloads").join(REPOSITORY);
    let places = [
        staging.join("partial"),
        staging.join("files"),
        models.join(REPOSITORY),
    ];
    let length = |name: &str| {
        let in_place = |place: &PathBuf| fs::metadata(place.join(name)).map(|file| file.len()).ok();
        places.iter().find_map(in_place).unwrap_or(0)
    };
    let names = snapshot.files.keys();
    let weights = names.filter(|name| name.ends_with(".safetensors"));
    weights.map(|name| length(name)).sum()
}

fn until_whole(node: &Node) -> Result<()> {
    let begin = Instant::now();
    while node.api().get("/admin/downloads")?.1["downloads"][0]["state"] != "done" {
        ensure!(begin.elapsed() < LIMIT, "the download does not end");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Copies the weights of a folder over TCP, one file after the other, from disk to disk.
fn copy(source: &Path) -> Result<Duration> {
    let target = tempfile::tempdir()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut to = TcpStream::connect(listener.local_addr()?)?;
    let (mut from, _) = listener.accept()?;
    let begin = Instant::now();
    thread::scope(|scope| {
        let sending = scope.spawn(move || -> Result<()> {
            for entry in fs::read_dir(source)? {
                let path = entry?.path();
                if path.extension().is_some_and(|end| end == "safetensors") {
                    io::copy(&mut File::open(path)?, &mut to)?;
                }
            }
            Ok(())
        });
        let mut file = File::create(target.path().join("copy"))?;
        io::copy(&mut from, &mut file)?;
        let sent = sending.join();
        sent.ok().context("the sender panicked")?
    })?;
    Ok(begin.elapsed())
}
