//! `cargo xtask check-mac`: type-checks, on Linux, what only macOS compiles.
//!
//! `models` and `worker` are left out: MLX's build script needs Apple's headers. What they have for macOS alone is nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, pass_through, step};
use crate::paths;

const TARGET: &str = "aarch64-apple-darwin";
/// What needs MLX, and what is only for development.
const LEFT_OUT: [&str; 5] = ["models", "worker", "tests", "installer", "dist"];
/// Some dependencies have parts in C, which nobody links in a check and Apple's headers would be needed for. This takes
/// the compiler's and the archiver's place and makes the empty file that was asked for.
const NO_COMPILER: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in
    -o) : > "$2"; exit ;;
    *.a) : > "$1"; exit ;;
  esac
  shift
done
"#;

/// Checks as a part of the tests: on a Mac they compile it anyway, and not every Rust can be given another target.
pub fn check_where_possible() -> Result<()> {
    if cfg!(target_os = "macos") {
        return Ok(());
    }
    if let Err(error) = fetch_standard_library() {
        println!("The check for macOS is SKIPPED: {error:#}");
        return Ok(());
    }
    check()
}

/// Checks the library crates and the node.
pub fn check() -> Result<()> {
    fetch_standard_library()?;
    let no_compiler = no_compiler()?;
    let mut check = cargo();
    check.args(["check", "--quiet", "--workspace", "--target", TARGET]);
    for package in LEFT_OUT {
        check.args(["--exclude", package]);
    }
    check.args(["--features", "app/updates"]);
    check.env("SPARKLE_FRAMEWORK_PATH", no_framework()?);
    check.arg("--target-dir").arg(folder());
    for tool in ["CC", "CXX", "AR"] {
        check.env(format!("{tool}_{}", TARGET.replace('-', "_")), &no_compiler);
    }
    pass_through(
        "The check for macOS",
        &mut check,
        "see the errors above; a Mac would not compile this",
    )
}

/// Rust's standard library for Macs, through rustup.
fn fetch_standard_library() -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    let output = rustc.output().context("rustc")?;
    if Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir() {
        return Ok(());
    }
    step(
        "Fetching Rust's standard library for macOS",
        Command::new("rustup").args(["target", "add", TARGET]),
        &format!("check the network, and that Rust came from rustup: rustup target add {TARGET}"),
    )
}

fn no_compiler() -> Result<PathBuf> {
    fs::create_dir_all(folder())?;
    let file = folder().join("no-compiler");
    fs::write(&file, NO_COMPILER)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    Ok(file)
}

/// A folder with an empty `Sparkle.framework`: it is looked for, and would be read only by a linker.
fn no_framework() -> Result<PathBuf> {
    let folder = folder().join("no-framework");
    fs::create_dir_all(folder.join("Sparkle.framework"))?;
    Ok(folder)
}

/// Apart from the other builds, whose dependencies have other features.
fn folder() -> PathBuf {
    paths::setup().join("mac")
}
