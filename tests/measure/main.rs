//! `cargo run -p tests --bin measure -- WHAT`: the cluster's times and speeds, as ratios to a baseline of the same run.
//!
//! Each measurement starts real nodes and prints one line per figure. Machines are shared and noisy, so compare
//! ratios and medians, not single times.

mod beginnings;
mod first_token;
mod idle;
mod pipeline;
mod placements;
mod recovery;

use clap::{Parser, Subcommand};

/// Measures a real cluster on this machine.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Two hosts on a bridge: from the second node's start to seeing each other, to a loaded model, to a first token.
    FirstToken {
        /// How often.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Tokens per second of N ranks against one node, same model, same cores, runs interleaved.
    Sharded {
        /// Model to place: an id or a folder.
        #[arg(long, default_value = "sprout")]
        model: String,
        /// `pipeline` or `tensor`.
        #[arg(long, default_value = "pipeline")]
        sharding: String,
        /// Ranks.
        #[arg(long, default_value_t = 2)]
        nodes: usize,
        /// Tokens to generate in each run.
        #[arg(long, default_value_t = 128)]
        tokens: usize,
        /// How often.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Place and close a model over two nodes again and again: all become ready, and how fast.
    Placements {
        /// How often.
        #[arg(long, default_value_t = 100)]
        runs: usize,
    },
    /// A node that nobody asks anything, headless and inside of the app: memory, processor, time to its API.
    Idle {
        /// How long to watch the processor.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Time to the first token of a prompt: never seen, in memory, and on disk after a restart.
    Beginnings {
        /// Model to run: an id or a folder.
        #[arg(long, default_value = "sprout")]
        model: String,
        /// Tokens of the prompt.
        #[arg(long, default_value_t = 960)]
        tokens: usize,
        /// How often.
        #[arg(long, default_value_t = 3)]
        runs: usize,
    },
    /// Kill a node, or only a worker, in the middle of a stream: the text, and the longest pause.
    Recovery {
        /// How often for each kind of loss.
        #[arg(long, default_value_t = 3)]
        runs: usize,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        What::FirstToken { runs } => first_token::measure(runs),
        What::Sharded {
            model,
            sharding,
            nodes,
            tokens,
            runs,
        } => pipeline::measure(&pipeline::Setup {
            model,
            sharding,
            nodes,
            tokens,
            runs,
        }),
        What::Placements { runs } => placements::measure(runs),
        What::Idle { seconds } => idle::measure(seconds),
        What::Beginnings {
            model,
            tokens,
            runs,
        } => beginnings::measure(&beginnings::Setup {
            model,
            tokens,
            runs,
        }),
        What::Recovery { runs } => recovery::measure(runs),
    }
}

/// Smallest, median and largest of some figures, for a line of output.
fn spread(figures: &[f64]) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.first(), sorted.last()) {
        (Some(least), Some(most)) => {
            format!(
                "min {least:.2}  median {:.2}  max {most:.2}",
                sorted[sorted.len() / 2]
            )
        }
        _ => "no figures".to_string(),
    }
}
