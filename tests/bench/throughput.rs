//! One node against mlx-lm's server: the same weights, the same MLX, the same requests, in turns.
//!
//! Every figure is taken of both, one after the other and the other way round in the next run, so that what else the
//! machine does falls on both alike. What counts are the ratios.

mod reference;

use anyhow::{Context, Result};
use tests::nodes::{Node, NodeOptions};

use crate::load::{Request, Server, checkpoint, workload};
use reference::Reference;

/// Of the prompts whose first token is waited for.
const PROMPT_TOKENS: [usize; 3] = [32, 512, 2048];
/// What prompts have in common.
const PREFIX_TOKENS: usize = 2048;
/// What they end with, each with its own.
const TAIL_TOKENS: usize = 32;
/// Requests that each stream makes, one after the other.
const REQUESTS_EACH: usize = 2;
/// Streams of the requests that warm both up.
const WARM_STREAMS: usize = 4;

/// What to measure.
pub struct Setup {
    /// Numbers of streams.
    pub streams: Vec<usize>,
    /// How often.
    pub runs: usize,
    /// Only the streams: not the time to first tokens.
    pub streams_only: bool,
}

pub fn measure(setup: &Setup) -> Result<()> {
    let folder = checkpoint()?;
    let node = Node::start(&NodeOptions::default())?;
    let ours = Server::placed("espalier", node.api(), folder.path(), ("auto", 1))?;
    let worker = node.worker_processes();
    let worker = *worker.first().context("the node has no worker")?;
    let reference = Reference::start(folder.path(), worker)?;
    println!("{}", reference.describe());
    let theirs = Server::new("mlx-lm", reference.api(), "default_model".into());
    let both = [ours, theirs];
    for server in &both {
        server.first_token(&Request::new("warm", 600, 4))?;
        server.tokens_per_second(&workload("warm", WARM_STREAMS, 1))?;
    }
    for &streams in &setup.streams {
        measure_streams(&both, streams, setup.runs)?;
    }
    if !setup.streams_only {
        for tokens in PROMPT_TOKENS {
            measure_first_token(&both, tokens, setup.runs)?;
        }
        measure_prefix(&both, setup.runs)?;
    }
    Ok(())
}

/// One figure of both servers, ours first; every other time theirs first.
fn of_both(
    run: usize,
    both: &[Server; 2],
    figure: impl Fn(&Server) -> Result<f64>,
) -> Result<[f64; 2]> {
    let [ours, theirs] = both;
    if run.is_multiple_of(2) {
        let ours = figure(ours)?;
        Ok([ours, figure(theirs)?])
    } else {
        let theirs = figure(theirs)?;
        Ok([figure(ours)?, theirs])
    }
}

fn measure_streams(both: &[Server; 2], streams: usize, runs: usize) -> Result<()> {
    let mut table = Table::default();
    for run in 0..runs {
        let requests = workload(
            &format!("streams {streams} run {run}"),
            streams,
            REQUESTS_EACH,
        );
        let [ours, theirs] = of_both(run, both, |server| server.tokens_per_second(&requests))?;
        table.add(ours, theirs, ours / theirs);
    }
    table.print(
        &format!("{streams} streams"),
        both,
        "tok/s",
        "espalier / mlx-lm",
    );
    Ok(())
}

fn measure_first_token(both: &[Server; 2], tokens: usize, runs: usize) -> Result<()> {
    let mut table = Table::default();
    for run in 0..runs {
        let request = Request::new(&format!("first {tokens} run {run}"), tokens, 2);
        let [ours, theirs] = of_both(run, both, |server| server.first_token(&request))?;
        table.add(ours, theirs, theirs / ours);
    }
    let what = format!("first token of {tokens}");
    table.print(&what, both, "s", "mlx-lm / espalier");
    Ok(())
}

/// Prompts with the same beginning: the first is computed whole, the second has its own end.
fn measure_prefix(both: &[Server; 2], runs: usize) -> Result<()> {
    let (mut miss, mut hit, mut shares) = (Table::default(), Table::default(), Table::default());
    for run in 0..runs {
        let beginning = format!("beginning of run {run}");
        let prompt = |tail: &str| Request::after(&beginning, PREFIX_TOKENS, tail, TAIL_TOKENS, 2);
        let [ours, theirs] = of_both(run, both, |server| server.first_token(&prompt("first")))?;
        miss.add(ours, theirs, theirs / ours);
        let [our_hit, their_hit] =
            of_both(run, both, |server| server.first_token(&prompt("second")))?;
        hit.add(our_hit, their_hit, their_hit / our_hit);
        shares.add(
            100.0 * our_hit / ours,
            100.0 * their_hit / theirs,
            our_hit / ours,
        );
    }
    let what = format!("first token after {PREFIX_TOKENS} shared,");
    miss.print(&format!("{what} a miss"), both, "s", "mlx-lm / espalier");
    hit.print(&format!("{what} a hit"), both, "s", "mlx-lm / espalier");
    for (server, figures) in both.iter().zip([&shares.ours, &shares.theirs]) {
        let spread = crate::spread(figures);
        println!("{what} hit in % of miss, {}: {spread}", server.name());
    }
    Ok(())
}

/// A figure of both servers and its ratio, run by run.
#[derive(Default)]
struct Table {
    ours: Vec<f64>,
    theirs: Vec<f64>,
    ratios: Vec<f64>,
}

impl Table {
    fn add(&mut self, ours: f64, theirs: f64, ratio: f64) {
        self.ours.push(ours);
        self.theirs.push(theirs);
        self.ratios.push(ratio);
    }

    fn print(&self, what: &str, both: &[Server; 2], unit: &str, ratio: &str) {
        for (server, figures) in both.iter().zip([&self.ours, &self.theirs]) {
            println!(
                "{what}, {}: {} {unit}",
                server.name(),
                crate::spread(figures)
            );
        }
        println!("{what}, ratio {ratio}: {}", crate::spread(&self.ratios));
    }
}
