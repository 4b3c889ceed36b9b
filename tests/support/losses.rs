//! What can be killed in the middle of an answer, and an answer that is asked for twice: undisturbed, and with that loss.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::nodes::{Node, other_holders, start_cluster};

/// Far beyond what loading Sprout takes.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// The loss happens when this many pieces of text have arrived: in the middle.
const PIECES_BEFORE_LOSS: usize = 20;
/// Of an answer.
const TOKENS: usize = 120;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The node that holds a rank and not the client's connection.
    OtherNode,
    /// Every node but the one with the client's connection.
    AllOthers,
    /// The worker of the node that holds the client's connection.
    OwnWorker,
    /// The worker of another node.
    OtherWorker,
    /// The node that opened the instance and drives rank 0, while the client is connected to another one.
    Owner,
}

/// How Sprout is divided in a cluster of three nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    /// `pipeline` or `tensor`.
    pub sharding: &'static str,
    /// Over how many of the nodes.
    pub ranks: usize,
}

/// Streams an answer undisturbed, with `loss` in its middle, and again afterwards. The texts must be the same; gives
/// the longest pause that the client saw in the disturbed one.
pub fn pause_after(loss: Loss, division: Division) -> Result<Duration> {
    let mut cluster = start_cluster(3)?;
    let asked = usize::from(loss == Loss::Owner);
    let id = cluster[0]
        .api()
        .place("sprout", division.sharding, division.ranks)?;
    let api = cluster[asked].api();
    let instance = api.wait_ready(&id, READY_LIMIT)?;
    let others = other_holders(&cluster, &instance, asked);
    let undisturbed = api.stream("/v1/completions", &request(), |_| ())?;
    let disturbed = api.stream("/v1/completions", &request(), |pieces| {
        if pieces == PIECES_BEFORE_LOSS {
            inflict(loss, &mut cluster, &others);
        }
    })?;
    let after = api.stream("/v1/completions", &request(), |_| ())?;
    for (when, answer) in [("during", &disturbed), ("after", &after)] {
        ensure!(
            answer.text == undisturbed.text,
            "{loss:?}: {:?} became {:?} {when} the loss",
            undisturbed.text,
            answer.text
        );
    }
    Ok(disturbed.pause_max())
}

fn request() -> Value {
    json!({"model": "sprout", "prompt": "Count from 1 to 90.", "max_tokens": TOKENS, "stream": true,
           "temperature": 0.8, "seed": 11, "ignore_eos": true})
}

fn inflict(loss: Loss, cluster: &mut [Node], others: &[usize]) {
    match loss {
        Loss::OtherNode => cluster[others[0]].kill(),
        Loss::AllOthers => others.iter().for_each(|other| cluster[*other].kill()),
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
