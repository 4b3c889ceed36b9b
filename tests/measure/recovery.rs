//! What a client of one node sees when another node, or only a worker, is killed in the middle of its stream.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tests::nodes::{Node, other_holders, start_cluster};

/// As elsewhere: far beyond the aim.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// The loss happens when this many pieces of text have arrived.
const PIECES_BEFORE_LOSS: usize = 20;
/// Long enough that the loss is in the middle.
const TOKENS: usize = 150;

pub fn measure(runs: usize) -> Result<()> {
    for sharding in ["pipeline", "tensor"] {
        for loss in [
            Loss::OtherNode,
            Loss::OwnWorker,
            Loss::OtherWorker,
            Loss::Owner,
        ] {
            let mut pauses = Vec::new();
            for _ in 0..runs {
                pauses.push(one_run(sharding, loss)?.as_secs_f64());
            }
            println!(
                "{sharding}, {loss:?} killed: same text, pause {} s (aim: under 5)",
                crate::spread(&pauses)
            );
        }
    }
    Ok(())
}

/// What is killed.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// The node that holds a rank and not the client's connection.
    OtherNode,
    /// The worker of the node that holds the client's connection.
    OwnWorker,
    /// The worker of another node.
    OtherWorker,
    /// The node that opened the instance and drives rank 0, while the client is connected to another one.
    Owner,
}

fn one_run(sharding: &str, loss: Loss) -> Result<Duration> {
    let mut cluster = start_cluster(3)?;
    let asked = usize::from(matches!(loss, Loss::Owner));
    // A tensor split leaves a node to mend with, and two ranks do not spin against each other on two cores.
    let ranks = if sharding == "tensor" { 2 } else { 3 };
    let id = cluster[0].api().place("sprout", sharding, ranks)?;
    let instance = cluster[asked].api().wait_ready(&id, READY_LIMIT)?;
    let others = other_holders(&cluster, &instance, asked);
    let body = json!({"model": "sprout", "prompt": "Count from 1 to 90.", "max_tokens": TOKENS, "stream": true,
                      "temperature": 0.8, "seed": 7, "ignore_eos": true});
    let api = cluster[asked].api();
    let undisturbed = api.stream("/v1/completions", &body, |_| ())?;
    let disturbed = api.stream("/v1/completions", &body, |pieces| {
        if pieces == PIECES_BEFORE_LOSS {
            inflict(loss, &mut cluster, &others);
        }
    })?;
    ensure!(
        disturbed.text == undisturbed.text,
        "{loss:?}: {:?} became {:?}",
        undisturbed.text,
        disturbed.text
    );
    Ok(disturbed.pause_max())
}

fn inflict(loss: Loss, cluster: &mut [Node], others: &[usize]) {
    match loss {
        Loss::OtherNode => cluster[others[0]].kill(),
        Loss::Owner => cluster[0].kill(),
        Loss::OwnWorker => kill_workers(&cluster[0]),
        Loss::OtherWorker => kill_workers(&cluster[others[0]]),
    }
}

fn kill_workers(node: &Node) {
    for worker in node.worker_processes() {
        let _ = kill(Pid::from_raw(worker), Signal::SIGKILL);
    }
}
