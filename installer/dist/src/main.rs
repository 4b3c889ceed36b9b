//! What `cargo xtask dist` and `cargo xtask appcast` run: packages Espalier for macOS, checks a package, makes and checks
//! update feeds and the key for them.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use dist::inputs::Sparkle;
use dist::keys::UpdateKey;
use dist::names::APPCAST;
use dist::version::Version;
use dist::{make, releases, verify};

/// Packages Espalier for macOS.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask dist", args_conflicts_with_subcommands = true)]
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
    /// Make the update feed of a folder with disk images, or check one.
    Appcast(Appcast),
    /// Take Sparkle.framework out of its release archive, for the app's build.
    #[command(hide = true)]
    UnpackSparkle {
        archive: PathBuf,
        sha256: String,
        /// Where it is put, in place of an older one.
        folder: PathBuf,
    },
    /// Make a key that signs updates, and print its public half.
    Keygen {
        /// Where the key is written. Keep it safe: whoever has it can update every Espalier.
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "cargo xtask appcast <FOLDER> --ed-key-file <FILE> --url <URL>\n       cargo xtask appcast verify <FEED>"
)]
struct Appcast {
    #[command(subcommand)]
    task: Option<AppcastTask>,
    /// Folder with one Espalier-VERSION.dmg per release, and deltas between them (EspalierNEW-OLD.delta) if there are
    /// any. The feed is written there.
    #[arg(required = true)]
    folder: Option<PathBuf>,
    /// Key that signs updates (`cargo xtask dist keygen` makes one).
    #[arg(long, value_name = "FILE", required = true)]
    ed_key_file: Option<PathBuf>,
    /// Where all of it will be downloaded from.
    #[arg(long, value_name = "URL", required = true)]
    url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum AppcastTask {
    /// Check a feed and every file that it offers.
    Verify {
        /// The feed, with the files beside it.
        feed: PathBuf,
        /// The public half of the key; without it, the one that the apps in the disk images trust.
        #[arg(long, value_name = "KEY")]
        public_key: Option<String>,
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
        None => {
            let version = Version::parse(env!("CARGO_PKG_VERSION"))?;
            make::make(&arguments.options, &version, build_time()?)
        }
        Some(Task::Verify { path }) => {
            say(&verify::verify(path)?);
            Ok(())
        }
        Some(Task::UnpackSparkle {
            archive,
            sha256,
            folder,
        }) => Sparkle::find(archive, sha256)?.unpack(folder),
        Some(Task::Appcast(appcast)) => {
            say(&feed(appcast)?);
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

fn feed(appcast: &Appcast) -> Result<Vec<String>> {
    match appcast {
        Appcast {
            task: Some(AppcastTask::Verify { feed, public_key }),
            ..
        } => releases::check_feed(feed, public_key.as_deref()),
        Appcast {
            task: None,
            folder: Some(folder),
            ed_key_file: Some(file),
            url: Some(url),
        } => {
            let offered = releases::write_feed(folder, &UpdateKey::read(file)?, url)?;
            let checked = releases::check_feed(&folder.join(APPCAST), None)?;
            Ok([offered, checked].concat())
        }
        Appcast { .. } => bail!("not enough is given\nhint: cargo xtask appcast --help"),
    }
}

fn say(lines: &[String]) {
    for line in lines {
        println!("{line}");
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
