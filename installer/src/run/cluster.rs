//! Several nodes on this machine: real processes that find each other by mDNS on the loopback interface alone, so
//! that nobody else on the network sees them.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Options;
use crate::command::hex;
use crate::paths;

/// Nodes see each other well within a second; the rest is a busy machine.
const JOIN_LIMIT: Duration = Duration::from_secs(30);
/// A model of some gigabytes is read within this.
const READY_LIMIT: Duration = Duration::from_mins(10);
/// How often the first node is asked how far it is.
const POLL: Duration = Duration::from_millis(20);

/// Starts the nodes, places the model over all of them, and waits until they end.
pub fn run(options: &Options) -> Result<()> {
    let inside_target = || paths::target().join("nodes");
    let data = options.data.clone().unwrap_or_else(inside_target);
    let key = random_key()?;
    let mut nodes = Nodes::default();
    for index in 0..options.nodes {
        nodes.start(options, index, &key, data.join(format!("{}", index + 1)))?;
    }
    let base = format!("http://127.0.0.1:{}", options.port);
    wait_until_joined(&base, options.nodes, &mut nodes)?;
    println!("{} nodes found each other", options.nodes);
    let model = place(&base, options, &mut nodes)?;
    println!("\nEspalier is ready: {base}\n");
    println!("  curl {base}/v1/chat/completions -H 'Content-Type: application/json' \\");
    println!(
        "    -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"What is Espalier?\"}}]}}'\n"
    );
    println!("Open {base} to see who holds what. Ctrl-C ends all nodes.");
    nodes.watch();
    Ok(())
}

/// The running nodes. Each ends when its standard input closes, so none outlives this process however it ends.
#[derive(Default)]
struct Nodes {
    running: Vec<(u16, Child)>,
}

impl Nodes {
    fn start(&mut self, options: &Options, index: u16, key: &str, data: PathBuf) -> Result<()> {
        let port = options
            .port
            .checked_add(index)
            .context("the port is too high for this many nodes")?;
        let name = format!("node-{}", index + 1);
        let mut node = Command::new(paths::program("espalier"));
        node.args([
            "serve",
            "--json",
            "--exit-with-parent",
            "--discover",
            "loopback",
            "--cluster-key",
            key,
        ]);
        node.args(["--port", &port.to_string(), "--name", &name, "--data"])
            .arg(data);
        node.args(&options.serve);
        let mut child = node
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("espalier")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        self.running.push((port, child));
        pass_on(stderr, name.clone());
        wait_for_line(stdout, name)
            .with_context(|| format!("the node on port {port} did not start"))
    }

    /// Says which node has ended, if one has.
    fn check(&mut self) -> Result<()> {
        for (port, child) in &mut self.running {
            if let Some(status) = child.try_wait()? {
                bail!("the node on port {port} ended with {status}\nhint: its messages are above");
            }
        }
        Ok(())
    }

    /// Waits for all nodes; tells of each that ends, and lets the others go on.
    fn watch(&mut self) {
        while !self.running.is_empty() {
            self.running
                .retain_mut(|(port, child)| match child.try_wait() {
                    Ok(None) => true,
                    Ok(Some(status)) => {
                        eprintln!("the node on port {port} ended with {status}; the others go on");
                        false
                    }
                    Err(_) => false,
                });
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            drop(child.stdin.take());
        }
        for (_, child) in &mut self.running {
            let _ = child.wait();
        }
    }
}

/// Waits for the first line, which says that the node is ready.
fn wait_for_line(stdout: impl Read + Send + 'static, name: String) -> Result<()> {
    // One line is waited for.
    let (sender, receiver): (SyncSender<()>, _) = sync_channel(1);
    std::thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut first = String::new();
        if stdout.read_line(&mut first).is_ok_and(|bytes| bytes > 0) {
            // Whoever waited may have stopped.
            let _ = sender.try_send(());
            pass_on(stdout, name);
        }
    });
    receiver.recv_timeout(JOIN_LIMIT).context("it said nothing")
}

/// Passes a node's lines on under its name, until it ends.
fn pass_on(output: impl Read + Send + 'static, name: String) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            eprintln!("{name}: {line}");
        }
    });
}

fn wait_until_joined(base: &str, count: u16, nodes: &mut Nodes) -> Result<()> {
    let start = Instant::now();
    loop {
        nodes.check()?;
        let state = get(&format!("{base}/admin/state"))?;
        let listed = state["nodes"].as_array().map_or(&[][..], Vec::as_slice);
        let online = listed
            .iter()
            .filter(|node| node["state"] == "online")
            .count();
        if online == usize::from(count) {
            return Ok(());
        }
        if start.elapsed() > JOIN_LIMIT {
            bail!(
                "only {online} of {count} nodes found each other\nhint: is multicast blocked on the loopback interface?"
            );
        }
        std::thread::sleep(POLL);
    }
}

/// Divides the model between all nodes; the name under which requests reach it.
fn place(base: &str, options: &Options, nodes: &mut Nodes) -> Result<String> {
    let request =
        json!({"model": options.model, "sharding": options.sharding, "node_count": options.nodes});
    let mut response = agent()
        .post(format!("{base}/admin/instances"))
        .send_json(&request)?;
    let answer: Value = response.body_mut().read_json()?;
    let Some(id) = answer["id"].as_str() else {
        bail!(
            "{}\nhint: {}",
            answer["error"]["message"],
            answer["error"]["hint"]
        );
    };
    let start = Instant::now();
    loop {
        nodes.check()?;
        let instance = get(&format!("{base}/admin/instances/{id}"))?;
        match instance["state"].as_str() {
            Some("ready") => {
                show_shards(&instance);
                let model = instance["model"].as_str().unwrap_or(&options.model);
                return Ok(model.to_owned());
            }
            Some("failed") => bail!("{} cannot be placed: {}", options.model, instance["error"]),
            _ if start.elapsed() > READY_LIMIT => {
                bail!("{} is not ready after {READY_LIMIT:?}", options.model)
            }
            _ => std::thread::sleep(POLL),
        }
    }
}

fn show_shards(instance: &Value) {
    println!(
        "{} is ready, {}:",
        instance["model"].as_str().unwrap_or("?"),
        instance["sharding"].as_str().unwrap_or("?")
    );
    for shard in instance["shards"].as_array().map_or(&[][..], Vec::as_slice) {
        let node = shard["node_id"].as_str().unwrap_or("?");
        println!(
            "  rank {}  node {}  layers {} to {}  slice {} of {}",
            shard["rank"],
            node.get(..8).unwrap_or(node),
            shard["layers"][0],
            shard["layers"][1].as_u64().unwrap_or(1).saturating_sub(1),
            shard["tensor"][0].as_u64().unwrap_or(0) + 1,
            shard["tensor"][1],
        );
    }
}

fn get(url: &str) -> Result<Value> {
    Ok(agent().get(url).call()?.body_mut().read_json()?)
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(JOIN_LIMIT))
        .build()
        .into()
}

/// A key for this cluster alone: 128 bits from the system.
fn random_key() -> Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}
