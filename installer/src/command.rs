//! Runs other programs: quietly with the elapsed time shown, or with their output passed through.

use std::fs;
use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths;

/// How often the elapsed time is redrawn on a terminal.
const REDRAW: Duration = Duration::from_millis(200);
/// Lines of a failed program's output that are shown.
const LINES_SHOWN: usize = 30;

/// Runs a long step and shows how long it takes. Its output goes to a log file, whose end is shown if it fails,
/// with `hint` saying what to do next.
pub fn step(title: &str, command: &mut Command, hint: &str) -> Result<()> {
    fs::create_dir_all(paths::setup())?;
    let log = paths::setup().join("last-step.log");
    let output = fs::File::create(&log)?;
    let name = command.get_program().to_string_lossy().into_owned();
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("{title}: cannot start {name} (hint: {hint})"))?;
    let terminal = std::io::stderr().is_terminal();
    if !terminal {
        eprintln!("  {title} ...");
    }
    // Ends when the child does; a person sees the seconds and can stop it.
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if terminal {
            eprint!("\r\x1b[K  {title} ... {} s", start.elapsed().as_secs());
            let _ = std::io::stderr().flush();
        }
        std::thread::sleep(REDRAW);
    };
    if terminal {
        eprint!("\r\x1b[K");
    }
    if status.success() {
        eprintln!("  {title}: done in {:.1} s", start.elapsed().as_secs_f64());
        return Ok(());
    }
    let text = fs::read_to_string(&log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
        eprintln!("    {line}");
    }
    bail!(
        "{title} failed: {name} ended with {status}\nhint: {hint}\nthe whole output is in {}",
        log.display()
    )
}

/// Runs a program with its output passed through.
pub fn pass_through(title: &str, command: &mut Command, hint: &str) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("{title}: cannot start {name}"))?;
    if !status.success() {
        bail!("{title} failed: {name} ended with {status}\nhint: {hint}");
    }
    Ok(())
}

/// Whether a program can be started at all.
pub fn exists(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// The cargo that runs this program.
pub fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths::workspace());
    // What cargo says to this program about its own package. `ring` would be built again because of it, and everything
    // above, whenever `cargo xtask` and plain cargo take turns.
    for (name, _) in std::env::vars_os() {
        let about_us = ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .map(|start| name.to_string_lossy().starts_with(start));
        if about_us.contains(&true) {
            command.env_remove(name);
        }
    }
    command
}

/// Bytes as lowercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
