//! Node.js as set-up found or fetched it, and scripts that run in it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::folder;

/// Where `cargo xtask test` says that Node.js is.
const NODE_VARIABLE: &str = "ESPALIER_TEST_NODE";

/// The program itself.
pub fn node() -> Result<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo xtask test hands the path over this way"
    )]
    let node = std::env::var_os(NODE_VARIABLE);
    let node = node.with_context(|| {
        format!("{NODE_VARIABLE} is not set (hint: run `cargo xtask test`, which sets it)")
    })?;
    Ok(node.into())
}

/// Runs a script, named from this folder, with the packages of its own folder, and returns what it printed.
pub fn run(script: &str, arguments: &[&str]) -> Result<String> {
    let path = folder::of_tests(script);
    let packages = path.with_file_name("node_modules");
    ensure!(
        packages.is_dir(),
        "{script}: its packages are missing (hint: cargo xtask test, or npm ci in its folder)"
    );
    let output = Command::new(node()?)
        .arg(path)
        .args(arguments)
        .output()
        .context("Node.js (hint: cargo xtask test finds or fetches it)")?;
    ensure!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
