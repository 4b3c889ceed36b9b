//! Time to the first token of a prompt that was never seen, that the worker has in memory, and that a restarted node has on
//! disk.

use std::time::Duration;

use anyhow::Result;
use tests::nodes::{Node, NodeOptions};

use crate::load::{Request, Server, checkpoint};

/// What each prompt ends with, with which it differs from those before.
const TAIL_TOKENS: usize = 32;
/// What waits to be written when an answer ends is written within this by far.
const WRITTEN_AFTER: Duration = Duration::from_secs(2);

/// Measures prompts that share so many `tokens`.
pub fn measure(tokens: usize, runs: usize) -> Result<()> {
    let model = checkpoint()?;
    let data = tempfile::tempdir()?;
    let options = NodeOptions {
        data: Some(data.path().to_path_buf()),
        ..NodeOptions::default()
    };
    let start = || -> Result<(Node, Server)> {
        let node = Node::start(&options)?;
        let server = Server::placed("espalier", node.api(), model.path(), ("auto", 1))?;
        // The first answers of a process pay for what is made once.
        server.first_token(&Request::new("warm", 600, 4))?;
        Ok((node, server))
    };
    let mut figures: [Vec<f64>; 3] = Default::default();
    for run in 0..runs {
        let beginning = format!("beginning of run {run}");
        let prompt = |tail: &str| Request::after(&beginning, tokens, tail, TAIL_TOKENS, 2);
        let (node, server) = start()?;
        figures[0].push(server.first_token_if(&prompt("first"), false)?);
        figures[1].push(server.first_token_if(&prompt("second"), true)?);
        std::thread::sleep(WRITTEN_AFTER);
        drop(node);
        let (_node, server) = start()?;
        figures[2].push(server.first_token_if(&prompt("third"), true)?);
    }
    let [missed, in_memory, on_disk] = &figures;
    let what = format!("first token after {tokens} shared,");
    println!("{what} never seen: {} s", crate::spread(missed));
    for (found, hits) in [("in memory", in_memory), ("on disk", on_disk)] {
        let shares = hits
            .iter()
            .zip(missed)
            .map(|(hit, miss)| 100.0 * hit / miss);
        let shares: Vec<f64> = shares.collect();
        println!("{what} {found}: {} s", crate::spread(hits));
        println!(
            "{what} {found} in % of never seen: {}",
            crate::spread(&shares)
        );
    }
    Ok(())
}
