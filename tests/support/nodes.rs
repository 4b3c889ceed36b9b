//! Real `espalier serve` processes, each with its own data folder, killed when dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::api::Api;

/// A node says that it is ready within this time, a placed model included.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How to start a node. Ports are always free ones that the system picks.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// `--model`.
    pub model: Option<String>,
    /// `--cluster-key`.
    pub cluster_key: Option<String>,
    /// `--discover`: `all`, `loopback`; `None` is `--no-discovery`.
    pub discover: Option<&'static str>,
    /// `--peer`, each `HOST:PORT`.
    pub peers: Vec<String>,
    /// The network namespace to run in.
    pub namespace: Option<String>,
    /// Its data folder, if it is to outlive the node.
    pub data: Option<PathBuf>,
    /// Where it finds models: a hub's address.
    pub hub: Option<String>,
    /// The cache of Hugging Face's own tools; `None` is one that is not there.
    pub hub_cache: Option<PathBuf>,
    /// It fetches nothing from a hub: `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// What it logs, as `RUST_LOG` says it; `None` is the default.
    pub log: Option<String>,
    /// More arguments.
    pub arguments: Vec<String>,
    /// The one processor that it and its workers run on; `None` for any. On Linux alone.
    pub processor: Option<usize>,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    child: Child,
    data: TempDir,
    /// Port of its API.
    pub port: u16,
    /// Port on which it listens for peers.
    pub peer_port: u16,
    /// Its id.
    pub id: String,
    /// From the start of its process to its ready line.
    pub ready_after: Duration,
}

impl Node {
    /// Starts a node and waits for its ready line.
    pub fn start(options: &NodeOptions) -> Result<Self> {
        let data = tempfile::Builder::new()
            .prefix("espalier-node-")
            .tempdir()?;
        let kept = options.data.as_deref();
        let mut command = serve_command(options, kept.unwrap_or(data.path()))?;
        let log = fs::File::create(data.path().join("stderr.log"))?;
        let start = Instant::now();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = spawn(&mut command, options.processor).context("espalier")?;
        let line = match first_line(&mut child) {
            Ok(line) => line,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let log = fs::read_to_string(data.path().join("stderr.log")).unwrap_or_default();
                return Err(error.context(log));
            }
        };
        let ready_after = start.elapsed();
        let ready: Value = serde_json::from_str(&line).context(line)?;
        let port = |name: &str| {
            ready[name]
                .as_u64()
                .and_then(|port| u16::try_from(port).ok())
        };
        Ok(Self {
            port: port("port").context("no port in the ready line")?,
            peer_port: port("peer_port").unwrap_or_default(),
            id: ready["node_id"].as_str().unwrap_or_default().to_string(),
            child,
            data,
            ready_after,
        })
    }

    /// Its API. In a namespace, only to be used inside of it.
    pub fn api(&self) -> Api {
        Api::new(self.port)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The processes of its workers.
    pub fn worker_processes(&self) -> Vec<i32> {
        children_of(self.child.id())
    }

    /// The process id of the node.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.data.path().join("stderr.log")).unwrap_or_default()
    }

    /// Its own data folder.
    pub fn data(&self) -> &Path {
        self.data.path()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!(
                "--- the end of node {}'s log",
                self.id.get(..8).unwrap_or("?")
            );
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// `count` nodes with one key that all list each other as online, the first one first.
pub fn start_cluster(count: usize) -> Result<Vec<Node>> {
    start_all(vec![Vec::new(); count])
}

/// A cluster whose nodes have these names.
pub fn start_named_cluster(names: &[&str]) -> Result<Vec<Node>> {
    let argument = |name: &&str| vec!["--name".to_string(), (*name).to_string()];
    start_all(names.iter().map(argument).collect())
}

/// A cluster whose nodes have a processor each, as computers of their own have, where there are enough.
pub fn start_apart(count: usize) -> Result<Vec<Node>> {
    let processors = std::thread::available_parallelism()?.get();
    let options = |index: usize| NodeOptions {
        processor: (count <= processors).then_some(index),
        ..NodeOptions::default()
    };
    start_each((0..count).map(options).collect())
}

fn start_all(arguments_of_each: Vec<Vec<String>>) -> Result<Vec<Node>> {
    let options = |arguments: Vec<String>| NodeOptions {
        arguments,
        ..NodeOptions::default()
    };
    start_each(arguments_of_each.into_iter().map(options).collect())
}

/// A cluster of nodes with these options, and a key of its own.
pub fn start_each(options_of_each: Vec<NodeOptions>) -> Result<Vec<Node>> {
    let count = options_of_each.len();
    let key = format!("key-{}", std::process::id());
    let mut nodes: Vec<Node> = Vec::new();
    for options in options_of_each {
        let peers = nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.peer_port))
            .collect();
        let options = NodeOptions {
            cluster_key: Some(key.clone()),
            peers,
            ..options
        };
        nodes.push(Node::start(&options)?);
    }
    for node in &nodes {
        node.api().wait_for_nodes(count, Duration::from_secs(15))?;
    }
    Ok(nodes)
}

/// Indices of the nodes that hold a rank of `instance`, without the one that is asked.
pub fn other_holders(cluster: &[Node], instance: &Value, asked: usize) -> Vec<usize> {
    let shards = instance["shards"].as_array().map_or(&[][..], Vec::as_slice);
    let holds = |node: &Node| {
        shards
            .iter()
            .any(|shard| shard["node_id"] == node.id.as_str())
    };
    (0..cluster.len())
        .filter(|&index| index != asked && holds(&cluster[index]))
        .collect()
}

/// A program of the workspace, built beside this one.
pub fn program(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let found = here
        .ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built (hint: cargo build --workspace)"))
}

fn serve_command(options: &NodeOptions, data: &Path) -> Result<Command> {
    let espalier = program("espalier")?;
    let mut command = match &options.namespace {
        Some(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace]).arg(espalier);
            command
        }
        None => Command::new(espalier),
    };
    command
        .args(["serve", "--json", "--port", "0", "--data"])
        .arg(data);
    match options.discover {
        Some(where_to) => command.args(["--discover", where_to]),
        None => command.arg("--no-discovery"),
    };
    if let Some(model) = &options.model {
        command.args(["--model", model]);
    }
    if let Some(key) = &options.cluster_key {
        command.args(["--cluster-key", key]);
    }
    for peer in &options.peers {
        command.args(["--peer", peer]);
    }
    if let Some(hub) = &options.hub {
        command
            .env("HF_ENDPOINT", hub)
            .env_remove("HF_HUB_OFFLINE")
            .env_remove("HF_TOKEN");
    }
    let no_cache = || data.join("no-hub-cache");
    command.env(
        "HF_HUB_CACHE",
        options.hub_cache.clone().unwrap_or_else(no_cache),
    );
    if options.offline {
        command.env("HF_HUB_OFFLINE", "1");
    }
    if let Some(log) = &options.log {
        command.env("RUST_LOG", log);
    }
    command.args(&options.arguments);
    Ok(command)
}

/// Starts a program, on one processor if so: a process runs where the thread did that started it.
fn spawn(command: &mut Command, processor: Option<usize>) -> Result<Child> {
    #[cfg(target_os = "linux")]
    if let Some(processor) = processor {
        use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
        use nix::unistd::Pid;
        let this_thread = Pid::from_raw(0);
        let before = sched_getaffinity(this_thread)?;
        let mut one = CpuSet::new();
        one.set(processor)?;
        sched_setaffinity(this_thread, &one)?;
        let child = command.spawn();
        sched_setaffinity(this_thread, &before)?;
        return Ok(child?);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = processor;
    Ok(command.spawn()?)
}

/// The ready line. Its reader goes on draining stdout so that the node never blocks on it.
fn first_line(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.take().context("stdout is not piped")?;
    // One line is wanted; later ones are dropped by try_send.
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.try_send(line);
        }
    });
    match receiver.recv_timeout(READY_LIMIT) {
        Ok(line) => Ok(line),
        Err(error) => bail!("no ready line: {error}"),
    }
}

fn children_of(process: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}
