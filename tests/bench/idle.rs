//! What a node costs that nobody asks anything: memory, processor, and how soon its API answers. The same for the app.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tests::api::Api;
use tests::desktop::{Desktop, wait_for};
use tests::nodes::{Node, NodeOptions};

const STARTS: usize = 5;
/// From the start to a steady state: discovery has announced itself by then.
const SETTLE: Duration = Duration::from_secs(5);
const APP_PORT: u16 = 3775;

pub fn measure(seconds: u64) -> Result<()> {
    node(seconds)?;
    app(seconds)
}

fn node(seconds: u64) -> Result<()> {
    let options = NodeOptions {
        cluster_key: Some("a key for nobody else".into()),
        discover: Some("loopback"),
        ..NodeOptions::default()
    };
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(Node::start(&options)?.ready_after);
    }
    starts.sort_unstable();
    println!(
        "headless node: API after {:.3} s (median of {STARTS} starts)",
        starts[STARTS / 2].as_secs_f64()
    );
    let node = Node::start(&options)?;
    watch("headless node, joined", node.process(), seconds)
}

fn app(seconds: u64) -> Result<()> {
    let desktop = Desktop::start()?;
    let mut command = desktop.command("espalier-app", None)?;
    command.env("ESPALIER_CLUSTER_KEY", "a key for nobody else");
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let api = Api::new(APP_PORT);
    let measured = wait_for("the app's API", || Ok(api.get("/health").is_ok())).and_then(|_| {
        println!(
            "app: API after {:.3} s (one start)",
            start.elapsed().as_secs_f64()
        );
        api.patch("/admin/settings", &json!({"join": true}))?;
        watch("app, joined, window closed", child.id(), seconds)
    });
    child.kill()?;
    child.wait()?;
    measured
}

/// One process for so long.
fn watch(what: &str, process: u32, seconds: u64) -> Result<()> {
    std::thread::sleep(SETTLE);
    let before = ticks(process)?;
    std::thread::sleep(Duration::from_secs(seconds));
    let ticks = ticks(process)? - before;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.context("ticks")?;
    let share = ticks as f64 / per_second as f64 / seconds as f64 * 100.0;
    let rss = memory_kb(process, "Rss:")? as f64 / 1e3;
    let pss = memory_kb(process, "Pss:")? as f64 / 1e3;
    let own = memory_kb(process, "Pss_Anon:")? as f64 / 1e3;
    println!(
        "{what}: RSS {rss:.1} MB, PSS {pss:.1} MB (of it {own:.1} MB not files), {share:.2} % of a core over {seconds} s"
    );
    Ok(())
}

/// Time on a processor so far, in the kernel's ticks.
fn ticks(process: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name may hold spaces; what follows it does not.
    let (_, fields) = stat.rsplit_once(')').context("stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

fn memory_kb(process: u32, field: &str) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix(field));
    let kb = line.and_then(|rest| rest.split_whitespace().next());
    Ok(kb.context("smaps_rollup")?.parse()?)
}
