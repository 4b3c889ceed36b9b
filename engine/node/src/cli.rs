//! The command line: what can be said, and which file does it. Parsing only; each command is a file of its own.

mod ask;
mod chat;
mod client;
mod failure;
mod join;
mod models;
mod plan;
mod pull;
mod run;
mod serve;
mod status;
mod table;
mod uninstall;

use std::path::PathBuf;
use std::process::ExitCode;

use base::{CacheBits, QuantizedBits};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{API_PORT, CLUSTER_NAME};
use crate::environment::Environment;
use failure::CommandFailure;

const DATA_HELP: &str = "Folder for everything this node keeps [default: the platform's place for data, or $ESPALIER_DATA]";
const KEY_HELP: &str = "Shared secret: nodes with the same one form a cluster. \
    $ESPALIER_CLUSTER_KEY keeps it out of the list of processes";

/// Trains several computers onto one frame: a model too big for one of them runs on all of them together.
#[derive(Debug, Parser)]
#[command(name = "espalier", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a node: find other nodes, serve models over HTTP
    Serve(Box<ServeArguments>),
    /// Show the nodes, their memory and the models that run
    Status(StatusArguments),
    /// Models of this computer: list them, what they take of the disk, delete them
    Models(ModelsArguments),
    /// Fetch a model from Hugging Face; what is interrupted goes on where it stopped
    Pull(PullArguments),
    /// Show how a model would be divided over the nodes, best way first
    Plan(PlanArguments),
    /// Chat with a model in the terminal, or give one answer
    Run(RunArguments),
    /// Pair this computer with one nearby: compare six digits, and both are in one cluster
    Join(JoinArguments),
    /// Remove what a node keeps on this computer: its settings, its key, its place in a cluster
    Uninstall(UninstallArguments),
}

/// How to start a node.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct ServeArguments {
    /// Model to load at once: its name or its folder
    #[arg(long, value_name = "ID|DIR")]
    model: Option<String>,
    /// How to divide that model
    #[arg(long, value_enum, default_value_t = ShardingArgument::Auto)]
    sharding: ShardingArgument,
    #[command(flatten)]
    quantize: QuantizeArgument,
    /// Port of the HTTP API on 127.0.0.1; 0 takes any free one [default: as set before, or 3775]
    #[arg(long)]
    port: Option<u16>,
    /// Listen on port 11434 too, where programs made for Ollama look, unless it is taken
    #[arg(long)]
    ollama_port: bool,
    /// Folder for everything this node keeps
    #[arg(long, value_name = "DIR", help = DATA_HELP)]
    data: Option<PathBuf>,
    /// Look for models in this folder too, instead of those of the settings; nothing is changed there. Can be given again
    #[arg(long = "model-folder", value_name = "DIR")]
    model_folders: Vec<PathBuf>,
    /// The same for a folder that downloads may go to: to the first one that has room, else into the data folder
    #[arg(long, value_name = "DIR")]
    download_to: Vec<PathBuf>,
    /// Where to look for other nodes
    #[arg(long, value_enum, default_value_t = DiscoverArgument::All)]
    discover: DiscoverArgument,
    /// Don't look for other nodes; only those named with --peer are called
    #[arg(long, conflicts_with = "discover")]
    no_discovery: bool,
    /// Shared secret: nodes with the same one form a cluster
    #[arg(long, value_name = "KEY", help = KEY_HELP)]
    cluster_key: Option<String>,
    /// Name of the cluster that others see
    #[arg(long, value_name = "NAME", default_value = CLUSTER_NAME)]
    cluster_name: String,
    /// Name of this node that others see [default: the computer's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Another node to call, for networks without multicast; can be given again
    #[arg(long = "peer", value_name = "HOST:PORT")]
    peers: Vec<String>,
    /// Port on which other nodes reach this one; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    peer_port: u16,
    /// Lend at most this much memory to models
    #[arg(long, value_name = "BYTES")]
    lend_memory: Option<u64>,
    /// Print one line of JSON when ready
    #[arg(long)]
    json: bool,
    /// Leave when standard input closes
    #[arg(long)]
    exit_with_parent: bool,
}

/// Which node a command talks to.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Port of the node's HTTP API on 127.0.0.1
    #[arg(long, default_value_t = API_PORT)]
    port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsArguments {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the models that a request may name
    List {
        #[command(flatten)]
        target: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what models take of the disks, the largest first, and what is left over there
    Du {
        #[command(flatten)]
        target: Target,
        /// Instead, show which models to delete to free this much: those that were not open for the longest time
        #[arg(long, value_name = "BYTES", value_parser = models::parse_bytes)]
        suggest: Option<u64>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove what interrupted downloads and deletions left that nobody goes on with
    Clean {
        #[command(flatten)]
        target: Target,
        /// Only show it
        #[arg(long)]
        dry_run: bool,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Delete a model's files from this computer; one that is open stays
    Delete {
        #[command(flatten)]
        target: Target,
        /// The model's name
        model: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Stop a download and keep what is there
    Pause {
        #[command(flatten)]
        target: Target,
        /// The model's repository
        #[arg(value_name = "OWNER/NAME")]
        model: String,
    },
    /// Go on with a download that was paused or gave up
    Resume {
        #[command(flatten)]
        target: Target,
        /// The model's repository
        #[arg(value_name = "OWNER/NAME")]
        model: String,
    },
    /// Stop a download and delete what is there of it
    Cancel {
        #[command(flatten)]
        target: Target,
        /// The model's repository
        #[arg(value_name = "OWNER/NAME")]
        model: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    /// The model's repository, and a branch, tag or commit of it if not `main`
    #[arg(value_name = "OWNER/NAME[@REVISION]")]
    model: String,
    /// Port of the node that is to fetch it [default: 3775; if no node answers there, this command fetches it itself]
    #[arg(long, conflicts_with = "data")]
    port: Option<u16>,
    /// Let all members of the node's cluster fetch it too: together from the hub once, and from each other as it arrives
    #[arg(long, conflicts_with = "data")]
    everywhere: bool,
    /// Fetch it without a node, into this folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    target: Target,
    /// The model: its name or its folder
    model: String,
    /// Only ways that divide it like this
    #[arg(long, value_enum, default_value_t = ShardingArgument::Auto)]
    sharding: ShardingArgument,
    #[command(flatten)]
    quantize: QuantizeArgument,
    /// Only ways over this many nodes
    #[arg(long, value_name = "N")]
    node_count: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    target: Target,
    /// The model: its name or its folder
    model: String,
    /// One question; without it, a conversation (or the question comes from standard input)
    prompt: Option<String>,
    /// Instructions for the model
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Longest answer, in tokens
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
    /// 0 always takes the likeliest token
    #[arg(long, value_name = "0..2")]
    temperature: Option<f32>,
}

#[derive(Debug, Args)]
pub(crate) struct JoinArguments {
    #[command(flatten)]
    target: Target,
    /// The other computer: its name, or how its id begins; not needed if there is one
    #[arg(value_name = "NAME|ID")]
    node: Option<String>,
    /// Without asking: confirms a pairing that the other computer has started, if these are the digits that it shows
    #[arg(long, value_name = "DIGITS")]
    confirm: Option<String>,
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct UninstallArguments {
    /// Folder for everything the node keeps
    #[arg(long, value_name = "DIR", help = DATA_HELP)]
    data: Option<PathBuf>,
    /// Remove conversations too
    #[arg(long)]
    conversations: bool,
    /// Remove logs and temporary files too
    #[arg(long)]
    caches: bool,
    /// Remove the models in the folder too
    #[arg(long)]
    models: bool,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

/// How to divide a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShardingArgument {
    /// Whatever the planner ranks first
    Auto,
    /// Each node takes a run of layers
    Pipeline,
    /// Each node takes a slice of every layer
    Tensor,
}

/// How to hold a model, and what beside it.
#[derive(Debug, Clone, Args)]
pub(crate) struct QuantizeArgument {
    /// Quantize the model as it is loaded, to 2, 3, 4, 5, 6 or 8 bits; matrices that are quantized already stay as they are
    #[arg(long = "quantize", value_name = "BITS", requires = "model", value_parser = quantized_bits)]
    bits: Option<QuantizedBits>,
    /// Quantize its cache of keys and values, to 4 or 8 bits; layers that keep a window or a state stay as they are
    #[arg(long, value_name = "BITS", requires = "model", value_parser = cache_bits)]
    kv_bits: Option<CacheBits>,
    /// A small model with the same tokenizer that drafts what the large one says, so that it answers faster and the same
    #[arg(long, value_name = "MODEL", requires = "model")]
    draft: Option<String>,
}

fn quantized_bits(text: &str) -> Result<QuantizedBits, String> {
    let bits = text.parse().ok().and_then(QuantizedBits::new);
    bits.ok_or_else(|| format!("one of {:?}", QuantizedBits::ALL))
}

fn cache_bits(text: &str) -> Result<CacheBits, String> {
    let bits = text.parse().ok().and_then(CacheBits::new);
    bits.ok_or_else(|| format!("one of {:?}", CacheBits::ALL))
}

impl ShardingArgument {
    /// The word the admin API uses.
    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Pipeline => "pipeline",
            Self::Tensor => "tensor",
        }
    }
}

/// Where to look for other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiscoverArgument {
    /// On every network this computer is on
    All,
    /// Only on this computer
    Loopback,
}

/// Parses the command line, runs the command and says how it went: 0 fine, 1 failed, 2 not understood,
/// 3 no node is running there.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::read();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(runtime_threads())
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(dispatch(cli.command, &environment));
            // What still runs (a reader of standard input) cannot be cancelled and must not hold up the exit.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(CommandFailure::other(format!("cannot start: {error}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn dispatch(command: Command, environment: &Environment) -> Result<(), CommandFailure> {
    match command {
        Command::Serve(arguments) => serve::serve(*arguments, environment).await,
        Command::Status(arguments) => status::status(&arguments).await,
        Command::Models(arguments) => models::models(arguments.command).await,
        Command::Pull(arguments) => pull::pull(arguments, environment).await,
        Command::Plan(arguments) => plan::plan(&arguments).await,
        Command::Run(arguments) => run::run(arguments).await,
        Command::Join(arguments) => join::join(arguments).await,
        Command::Uninstall(arguments) => uninstall::uninstall(arguments, environment).await,
    }
}

/// A node waits far more than it computes: a few threads do for any number of clients, and idle ones cost memory.
fn runtime_threads() -> usize {
    const MOST: usize = 4;
    std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, MOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "espalier serve --no-discovery --discover loopback",
            "espalier serve --sharding diagonal",
            "espalier serve --port 70000",
            "espalier serve --quantize 4",
            "espalier serve --model sprout --quantize 7",
            "espalier serve --kv-bits 8",
            "espalier serve --model sprout --kv-bits 6",
            "espalier plan",
            "espalier",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
