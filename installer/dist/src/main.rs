//! What `cargo xtask dist` runs: packages Espalier for macOS, checks a package, makes a key for updates.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use dist::keys::UpdateKey;
use dist::{make, verify};

/// Packages Espalier for macOS.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask dist", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    options: make::Options,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check an .app, or the whole folder that was made: every byte, every signature.
    Verify {
        /// The .app or the folder.
        path: PathBuf,
    },
    /// Make a key that signs updates, and print its public half.
    Keygen {
        /// Where the key is written. Keep it safe: whoever has it can update every Espalier.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {}", shown(&error));
            ExitCode::FAILURE
        }
    }
}

/// What went wrong and why, on one line, and below it what to do.
fn shown(error: &anyhow::Error) -> String {
    let (mut problems, mut hints) = (Vec::new(), String::new());
    for cause in error.chain() {
        let text = cause.to_string();
        let (problem, hint) = text.split_once('\n').unwrap_or((&text, ""));
        problems.push(problem.to_owned());
        if !hint.is_empty() {
            hints = format!("{hints}\n{hint}");
        }
    }
    problems.join(": ") + &hints
}

fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.task {
        None => make::make(&arguments.options, env!("CARGO_PKG_VERSION"), build_time()?),
        Some(Task::Verify { path }) => {
            for line in verify::verify(path)? {
                println!("{line}");
            }
            Ok(())
        }
        Some(Task::Keygen { file }) => {
            let key = UpdateKey::generate()?;
            key.write(file)?;
            println!("{}", key.public());
            eprintln!(
                "This is the public half (SUPublicEDKey); a build with --ed-key-file {} carries it.",
                file.display()
            );
            Ok(())
        }
    }
}

/// The time that goes into everything made, so that the same input gives the same bytes: `SOURCE_DATE_EPOCH`, or the
/// time of the last commit, or (outside of a checkout) now.
fn build_time() -> Result<DateTime<Utc>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the variable that reproducible builds agreed on"
    )]
    let named = std::env::var("SOURCE_DATE_EPOCH").ok();
    let committed = || {
        let folder = env!("CARGO_MANIFEST_DIR");
        let log = Command::new("git")
            .args(["-C", folder, "log", "-1", "--format=%ct"])
            .output();
        let output = log.ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let Some(text) = named.or_else(committed) else {
        return Ok(Utc::now());
    };
    let seconds = text.trim().parse();
    let seconds = seconds.with_context(|| {
        format!("{text:?} is no time\nhint: seconds since 1970 in SOURCE_DATE_EPOCH")
    })?;
    DateTime::from_timestamp(seconds, 0).context("the time is out of range")
}
