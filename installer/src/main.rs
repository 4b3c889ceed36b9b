//! `cargo xtask`: sets up what is missing, builds, starts and tests Espalier. One command each.
//!
//! Never part of the product: nothing depends on this crate, and it depends on none of the others.

mod check_mac;
mod command;
mod dist;
mod paths;
mod run;
mod setup;
mod test;

use clap::{Parser, Subcommand};

/// Sets up, builds, starts and tests Espalier.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Fetch and build what the project needs and this machine lacks. The other tasks begin with this.
    Setup,
    /// Build `espalier` and `espalier-worker` and say where they are.
    Build,
    /// Start one node with the embedded model, or several that form a cluster on this machine.
    Run(run::Options),
    /// Start the menu-bar app.
    App,
    /// Type-check, on Linux, what only macOS compiles.
    CheckMac,
    /// Package Espalier for macOS: bundle, signature, disk image, update feed; `verify PATH` checks them, `keygen FILE`
    /// makes a key for updates.
    Dist(dist::Options),
    /// Make the update feed of a folder with disk images; `verify FEED` checks one.
    Appcast(dist::Options),
    /// Check formatting and lints and run every test.
    Test(test::Options),
}

fn main() {
    let outcome = match Arguments::parse().task {
        Task::Setup => setup::for_product(),
        Task::Build => setup::for_product().and_then(|()| run::build_and_tell()),
        Task::Run(options) => run::run(&options),
        Task::App => setup::for_app().and_then(|()| run::run_app()),
        Task::CheckMac => check_mac::check(),
        Task::Dist(options) => dist::dist(&options),
        Task::Appcast(options) => dist::appcast(&options),
        Task::Test(options) => test::test(&options),
    };
    if let Err(error) = outcome {
        eprintln!("\nerror: {error:#}");
        std::process::exit(1);
    }
}
