//! Scripts of `tests/browser` that drive a page in a real Chromium. Says what is missing and how to install it; a test
//! never passes because there was no browser.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::folder;
use crate::node_js::node;

/// Debian's Chromium, and what a Mac may have.
const CHROMIUM_PATHS: [&str; 3] = [
    "/usr/bin/chromium",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
/// A script says a handful of words in its life.
const LINES_WAITING_MAX: usize = 16;

/// A running script.
#[derive(Debug)]
pub struct Script {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    folder: TempDir,
    ends: Instant,
}

impl Script {
    /// Starts a script of `tests/browser`; its first argument is the browser. It must be over within `limit`.
    pub fn start(name: &str, arguments: &[&str], limit: Duration) -> Result<Self> {
        let scripts = folder::of_tests("browser");
        ensure!(
            scripts.join("node_modules/playwright-core").is_dir(),
            "the browser tests' packages are missing (hint: cargo xtask test, or npm ci in tests/browser)"
        );
        let folder = tempfile::tempdir()?;
        let mut child = Command::new(node()?)
            .arg(scripts.join(name))
            .arg(chromium()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("stderr.log"))?)
            .spawn()
            .context("Node.js (hint: cargo xtask test finds or fetches it)")?;
        let stdin = child.stdin.take().context("stdin is not piped")?;
        let stdout = child.stdout.take().context("stdout is not piped")?;
        let (sender, lines) = sync_channel(LINES_WAITING_MAX);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            stdin,
            lines,
            folder,
            ends: Instant::now() + limit,
        })
    }

    /// What it says next.
    pub fn line(&self) -> Result<String> {
        let left = self.ends.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Ok(line),
            Err(error) => bail!("{error}: {}", self.errors()),
        }
    }

    /// Tells it to go on.
    pub fn go_on(&mut self) -> Result<()> {
        self.say("go on")
    }

    /// Tells it something.
    pub fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.stdin, "{line}")?)
    }

    /// What it complained about.
    fn errors(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr.log")).unwrap_or_default()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Chromium ends when the pipe that it is driven through does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn chromium() -> Result<&'static str> {
    let found = CHROMIUM_PATHS
        .into_iter()
        .find(|path| Path::new(path).is_file());
    found.with_context(|| {
        format!(
            "there is no Chromium at {} (hint: apt-get install chromium; on a Mac install Google Chrome)",
            CHROMIUM_PATHS.join(" or ")
        )
    })
}
