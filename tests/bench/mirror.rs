//! A model that one node has and another one wants, over a cable between two network namespaces: how fast its bytes come,
//! encrypted, written and verified, beside one plain TCP stream of as many bytes from memory to memory, as iperf3 sends, and a
//! plain copy from disk to disk. They take turns on the same cable and cores.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;
use tests::hub::trial::{REPOSITORY, check_files};
use tests::hub::{Snapshot, TestHub, model_of};
use tests::namespaces::Namespaces;
use tests::nodes::{Node, NodeOptions};

/// Files of the model.
const FILES: usize = 8;
/// No copy takes longer.
const LIMIT: Duration = Duration::from_mins(5);
const KEY: &str = "four random garden words";

/// What is lent, and over what.
#[derive(Debug, Args)]
pub struct Trial {
    /// How large the model is.
    #[arg(long, default_value_t = 512)]
    megabytes: usize,
    /// How fast the cable is; without it, as fast as this machine copies.
    #[arg(long)]
    megabits: Option<u32>,
    /// How often.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// Where the one is that has the model, and the one that wants it.
const LENDER: usize = 0;
const BORROWER: usize = 1;

pub fn measure(trial: &Trial) -> Result<()> {
    ensure!(
        Namespaces::possible(),
        "network namespaces need root on Linux"
    );
    let hosts = Namespaces::make(2)?;
    if let Some(megabits) = trial.megabits {
        hosts.limit(LENDER, megabits)?;
        hosts.limit(BORROWER, megabits)?;
    }
    let snapshot = model_of(1, &[trial.megabytes * 1_000_000 / FILES; FILES]);
    let address = hosts.address(LENDER);
    let hub = hosts.inside(LENDER, || TestHub::start_at(address, snapshot.clone()))??;
    let lender = start(
        &hosts,
        LENDER,
        NodeOptions {
            hub: Some(hub.endpoint()),
            ..NodeOptions::default()
        },
    )?;
    hosts.inside(LENDER, || fetch(&lender))??;
    drop(hub);
    let source = lender.data().join("models").join(REPOSITORY);
    let bytes = total(&snapshot);
    let (mut streamed, mut copied, mut lent, mut whole) = (vec![], vec![], vec![], vec![]);
    for _ in 0..trial.runs {
        let speed = |took: Duration| bytes as f64 / 1e6 / took.as_secs_f64();
        streamed.push(speed(stream(&hosts, bytes)?));
        copied.push(speed(copy(&hosts, &source)?));
        let (came, verified) = borrow(&hosts, &lender, &snapshot)?;
        lent.push(speed(came));
        whole.push(speed(verified));
    }
    let ratios = |to: &[f64]| -> Vec<f64> {
        let pairs = lent.iter().zip(to);
        pairs.map(|(lent, to)| lent / to).collect()
    };
    println!("plain TCP stream:      {} MB/s", crate::spread(&streamed));
    println!("plain TCP, disks:      {} MB/s", crate::spread(&copied));
    println!("from a member, TLS:    {} MB/s", crate::spread(&lent));
    println!("and verified, in place:{} MB/s", crate::spread(&whole));
    println!(
        "ratio to the stream:   {}",
        crate::spread(&ratios(&streamed))
    );
    println!("ratio to the copy:     {}", crate::spread(&ratios(&copied)));
    Ok(())
}

fn start(hosts: &Namespaces, host: usize, options: NodeOptions) -> Result<Node> {
    Node::start(&NodeOptions {
        cluster_key: Some(KEY.to_owned()),
        namespace: Some(hosts.name(host).to_owned()),
        ..options
    })
}

/// Lets a node fetch the model to the end.
fn fetch(node: &Node) -> Result<()> {
    pull(node)?;
    until_whole(node)
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
fn borrow(hosts: &Namespaces, lender: &Node, snapshot: &Snapshot) -> Result<(Duration, Duration)> {
    let options = NodeOptions {
        offline: true,
        peers: vec![format!("{}:{}", hosts.address(LENDER), lender.peer_port)],
        ..NodeOptions::default()
    };
    let borrower = start(hosts, BORROWER, options)?;
    let times = hosts.inside(BORROWER, || -> Result<_> {
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
        Ok((came, begin.elapsed()))
    })??;
    check_files(snapshot, &borrower.data().join("models").join(REPOSITORY))?;
    Ok(times)
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

/// Sends so many bytes from memory to memory.
fn stream(hosts: &Namespaces, bytes: u64) -> Result<Duration> {
    let piece = vec![7; 128 << 10];
    let send = move |mut to: TcpStream| -> Result<()> {
        let mut left = bytes;
        while left > 0 {
            let length = left.min(piece.len() as u64);
            to.write_all(&piece[..length as usize])?;
            left -= length;
        }
        Ok(())
    };
    let receive = |mut from: TcpStream| -> Result<()> {
        let mut piece = vec![0; 128 << 10];
        while from.read(&mut piece)? > 0 {}
        Ok(())
    };
    between(hosts, send, receive)
}

/// Copies the weights of a folder, one file after the other, from disk to disk.
fn copy(hosts: &Namespaces, source: &Path) -> Result<Duration> {
    let target = tempfile::tempdir()?;
    let send = |mut to: TcpStream| -> Result<()> {
        for entry in fs::read_dir(source)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "safetensors") {
                io::copy(&mut File::open(path)?, &mut to)?;
            }
        }
        Ok(())
    };
    let receive = |mut from: TcpStream| -> Result<()> {
        let mut file = File::create(target.path().join("copy"))?;
        io::copy(&mut from, &mut file)?;
        Ok(())
    };
    between(hosts, send, receive)
}

/// How long one TCP connection from the lender's host to the borrower's takes, to its end.
fn between(
    hosts: &Namespaces,
    send: impl FnOnce(TcpStream) -> Result<()> + Send,
    receive: impl FnOnce(TcpStream) -> Result<()>,
) -> Result<Duration> {
    let address = hosts.address(LENDER);
    let listener = hosts.inside(LENDER, || TcpListener::bind((address, 0)))??;
    let place = listener.local_addr()?;
    let from = hosts.inside(BORROWER, || TcpStream::connect(place))??;
    let (to, _) = listener.accept()?;
    let begin = Instant::now();
    thread::scope(|scope| {
        let sending = scope.spawn(move || send(to));
        receive(from)?;
        sending.join().ok().context("the sender panicked")?
    })?;
    Ok(begin.elapsed())
}
