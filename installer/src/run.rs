//! `cargo xtask run`: builds the node and starts one, or several that form a cluster on this machine.

mod cluster;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, pass_through};
use crate::{paths, setup};

/// What to start.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How many nodes, all on this machine.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,
    /// How to divide the model between them.
    #[arg(long, default_value = "auto", value_parser = ["auto", "pipeline", "tensor"])]
    sharding: String,
    /// A model's id or folder.
    #[arg(long, default_value = "sprout")]
    model: String,
    /// The API's port; further nodes take the next ones.
    #[arg(long, default_value_t = 3775)]
    port: u16,
    /// Folder for everything the node keeps; several nodes keep theirs in folders inside of it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// More arguments for `espalier serve`, after `--`.
    #[arg(last = true)]
    serve: Vec<String>,
}

/// Sets up, builds, starts.
pub fn run(options: &Options) -> Result<()> {
    setup::for_product()?;
    build()?;
    if options.nodes > 1 {
        return cluster::run(options);
    }
    let mut node = Command::new(paths::program("espalier"));
    node.args([
        "serve",
        "--model",
        &options.model,
        "--sharding",
        &options.sharding,
    ]);
    node.args(["--port", &options.port.to_string()]);
    if let Some(data) = &options.data {
        node.arg("--data").arg(data);
    }
    node.args(&options.serve);
    // Takes the place of this process, so that signals and the terminal are the node's own.
    Err(node.exec()).context("cannot start espalier")
}

/// Builds the app with its worker and starts it.
pub fn run_app() -> Result<()> {
    build()?;
    let mut build = cargo();
    build.args(["build", "--package", "app"]);
    pass_through("The app's build", &mut build, "see the errors above")?;
    Err(Command::new(paths::program("espalier-app")).exec()).context("cannot start the app")
}

/// Builds and says where the programs are.
pub fn build_and_tell() -> Result<()> {
    build()?;
    println!("{}", paths::program("espalier").display());
    println!("{}", paths::program("espalier-worker").display());
    Ok(())
}

fn build() -> Result<()> {
    let mut build = cargo();
    // Cargo shows its own progress; with nothing to do it says nothing.
    build.args(["build", "--package", "node", "--package", "worker"]);
    if fresh_enough() {
        build.arg("--quiet");
    }
    pass_through("The build", &mut build, "see the errors above")
}

/// Whether the programs were built before, so that cargo's progress would only flicker.
fn fresh_enough() -> bool {
    ["espalier", "espalier-worker"]
        .iter()
        .all(|name| paths::program(name).is_file())
}
