//! `cargo run -p tests --bin measure -- WHAT`: the cluster's times and speeds, as ratios to a baseline of the same run.
//!
//! Each measurement starts real nodes and prints one line per figure. Machines are shared and noisy, so compare
//! ratios and medians, not single times. Programs built without optimization are slower on the host's side: for speeds,
//! `cargo build --release -p node -p worker` and `cargo run --release -p tests --bin measure -- WHAT`.

mod beginnings;
mod churn;
mod decode;
mod downloads;
mod first_token;
mod idle;
mod interference;
mod kills;
mod load;
mod loading;
mod memory;
mod mirror;
mod openapi;
mod pipeline;
mod placements;
mod recovery;
mod replicas;
mod schemas;
mod speculation;
mod swarm;
mod throughput;

use clap::{Parser, Subcommand};
use tests::structured::Trial;

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
    /// Tokens per second of the stages of a pipeline with many streams against the same stages with one stream at a time.
    Stages {
        /// Ranks.
        #[arg(long, default_value_t = 2)]
        stages: usize,
        /// Streams at once.
        #[arg(long, default_value_t = 8)]
        streams: usize,
        /// How often.
        #[arg(long, default_value_t = 3)]
        runs: usize,
    },
    /// One node against mlx-lm's server, with the same weights on the same MLX: tokens per second of many streams, time to
    /// first token, and prompts with a beginning in common.
    Throughput {
        /// Numbers of streams.
        #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32])]
        streams: Vec<usize>,
        /// How often.
        #[arg(long, default_value_t = 3)]
        runs: usize,
        /// Leave out the times to first token.
        #[arg(long)]
        streams_only: bool,
    },
    /// Place and close a model over two nodes again and again: all become ready, and how fast.
    Placements {
        /// How often.
        #[arg(long, default_value_t = 100)]
        runs: usize,
    },
    /// Downloads from a hub with faults: each ends with the right bytes, and no verified byte comes twice.
    Downloads {
        /// How many, each with the faults of its number.
        #[arg(long, default_value_t = 300)]
        runs: u64,
    },
    /// A model that one node takes from another: bytes per second, encrypted, over a cable between
    /// network namespaces, against plain TCP. Needs root.
    Mirror(mirror::Trial),
    /// Three nodes that want one model of a hub, on links of limited speed: what the hub sends, and how long it takes, beside one
    /// node alone. Needs root.
    Swarm(swarm::Trial),
    /// Kills at random instants of downloads and deletions: after each the store opens clean, with a whole model or none.
    Kills {
        /// How many.
        #[arg(long, default_value_t = 500)]
        runs: usize,
        /// Decides what is killed when.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// A node that nobody asks anything, headless and inside of the app: memory, processor, time to its API.
    Idle {
        /// How long to watch the processor.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Time to the first token of a prompt: never seen, in memory, and on disk after a restart; with their ratios.
    Beginnings {
        /// Tokens of the prompt.
        #[arg(long, default_value_t = 2048)]
        tokens: usize,
        /// How often.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// A long prompt is read while others answer: how long these wait for their tokens, in steps of their own.
    Interference {
        /// Tokens of the prompt.
        #[arg(long, default_value_t = 16_000)]
        prompt: usize,
        /// Answers under way.
        #[arg(long, default_value_t = 4)]
        streams: usize,
        /// How often.
        #[arg(long, default_value_t = 3)]
        runs: usize,
    },
    /// A storm of clients over one node and over two: every request ends, and nothing is left behind.
    Churn {
        /// How long it blows over each.
        #[arg(long, default_value_t = 5.0)]
        minutes: f64,
        /// Clients at once.
        #[arg(long, default_value_t = 8)]
        clients: usize,
        /// Decides what they do.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The decode step of each family against mlx-lm's: operations that Metal would run in a layer, and the host's time here
    /// to build and to evaluate its graph.
    Decode {
        /// Which; all that are known here if none is named.
        #[arg(long, value_delimiter = ',')]
        families: Vec<String>,
        /// Width of the models.
        #[arg(long, default_value_t = 64)]
        hidden: u32,
        /// Sequences in each step.
        #[arg(long, default_value_t = 1)]
        batch: u32,
        /// What is to be otherwise in the configurations, or in how they are stored: `{"dtype": "bfloat16", "quantize": 4}`.
        #[arg(long, default_value = "{}")]
        settings: serde_json::Value,
        /// How often each is timed.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// List the operations by name.
        #[arg(long)]
        list: bool,
    },
    /// Time and peak memory of loading a random checkpoint, over one rank and two, against mlx-lm's.
    Loading(loading::Setup),
    /// What workers hold of a model once they have read a prompt as long as their cache, against what the planner foresaw.
    Memory(memory::Setup),
    /// Tokens per second of many streams over replicas, one on each node, against one node, same model, same cores.
    Replicas(replicas::Setup),
    /// Random JSON schemas asked of random models: every answer must be valid.
    Schemas {
        /// How many schemas.
        #[arg(long, default_value_t = 500)]
        count: usize,
        /// How many of them for each model.
        #[arg(long, default_value_t = 50)]
        per_model: usize,
        /// Over how many nodes each model is divided.
        #[arg(long, default_value_t = 1)]
        nodes: usize,
        /// `pipeline` or `tensor`.
        #[arg(long, default_value = "pipeline")]
        sharding: String,
        /// Decides schemas, models and answers.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Guesses at what answers go on with, against none: tokens per second where answers repeat themselves, and where they do
    /// not.
    Speculation {
        /// Let a draft model make them: Sprout, for itself with many more layers that change nothing.
        #[arg(long)]
        draft: bool,
        /// Numbers of answers at once.
        #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16])]
        streams: Vec<usize>,
        /// How often.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Random requests by the node's own `OpenAPI` document: none may be answered by a 5xx, or otherwise than described.
    Openapi {
        /// How many, at least.
        #[arg(long, default_value_t = 5000)]
        requests: u64,
        /// Decides what is asked.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Kill a node, or only a worker, in the middle of a stream: the text, and the longest pause.
    Recovery {
        /// How often for each kind of loss.
        #[arg(long, default_value_t = 3)]
        runs: usize,
    },
}

fn main() -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        eprintln!(
            "built for development, so slower than a release\nhint: cargo build --release -p node -p worker && \
             cargo run --release -p tests --bin measure -- …"
        );
    }
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
        What::Stages {
            stages,
            streams,
            runs,
        } => pipeline::measure_stages(stages, streams, runs),
        What::Throughput {
            streams,
            runs,
            streams_only,
        } => throughput::measure(&throughput::Setup {
            streams,
            runs,
            streams_only,
        }),
        What::Placements { runs } => placements::measure(runs),
        What::Downloads { runs } => downloads::measure(runs),
        What::Mirror(trial) => mirror::measure(&trial),
        What::Swarm(trial) => swarm::measure(&trial),
        What::Kills { runs, seed } => kills::measure(runs, seed),
        What::Idle { seconds } => idle::measure(seconds),
        What::Schemas {
            count,
            per_model,
            nodes,
            sharding,
            seed,
        } => schemas::measure(&Trial {
            seed,
            count,
            per_model,
            nodes,
            sharding: &sharding,
        }),
        What::Beginnings { tokens, runs } => beginnings::measure(tokens, runs),
        What::Interference {
            prompt,
            streams,
            runs,
        } => interference::measure(prompt, streams, runs),
        What::Churn {
            minutes,
            clients,
            seed,
        } => churn::measure(minutes, clients, seed),
        What::Decode {
            families,
            hidden,
            batch,
            settings,
            runs,
            list,
        } => decode::measure(&decode::Setup {
            families,
            hidden,
            batch,
            settings,
            runs,
            list,
        }),
        What::Loading(setup) => loading::measure(&setup),
        What::Memory(setup) => memory::measure(&setup),
        What::Replicas(setup) => replicas::measure(&setup),
        What::Speculation {
            draft: true,
            streams,
            runs,
        } => speculation::drafts::measure(&streams, runs),
        What::Speculation {
            draft: false,
            streams,
            runs,
        } => speculation::measure(&streams, runs),
        What::Openapi { requests, seed } => openapi::measure(requests, seed),
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
