//! `cargo xtask dist` and `cargo xtask appcast`: on a Mac builds the programs for release, and then lets the package `dist`
//! do everything else.
//!
//! That package is compiled here and not before: it is much heavier than all other tasks together.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, pass_through, step};
use crate::{paths, setup};

const TARGET: &str = "aarch64-apple-darwin";
/// Package and program.
const TOOLS: &str = "dist";
const PACKAGES: [&str; 3] = ["app", "node", "worker"];

/// What to pass on.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Options {
    /// Options of packaging, or `verify PATH`, or `keygen FILE`; `--help` explains them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds what is missing and packages it.
pub fn dist(options: &Options) -> Result<()> {
    let arguments = &options.arguments;
    build_tools()?;
    let mut package = Command::new(paths::program(TOOLS));
    if makes(arguments) {
        if !given(arguments, "--output") {
            package.arg("--output").arg(paths::target().join("dist"));
        }
        if cfg!(target_os = "macos") && needs_programs(arguments) {
            let metal = build(arguments)?;
            let programs = paths::target().join(TARGET).join("release");
            package.arg("--binaries").arg(programs);
            if !given(arguments, "--metallib") {
                package.arg("--metallib").arg(metal);
            }
        }
    }
    continue_as(package.args(arguments))
}

/// `cargo xtask appcast`: makes an update feed, or checks one.
pub fn appcast(options: &Options) -> Result<()> {
    build_tools()?;
    let mut package = Command::new(paths::program(TOOLS));
    continue_as(package.arg("appcast").args(&options.arguments))
}

fn build_tools() -> Result<()> {
    step(
        "Building the packaging tools (the first time takes minutes)",
        cargo().args(["build", "--package", TOOLS]),
        "see the errors above",
    )
}

/// Takes the place of this process, so that the tools' messages are the last.
fn continue_as(tools: &mut Command) -> Result<()> {
    Err(tools.exec()).context("cannot start the packaging tools")
}

/// Whether something is made, and not a made thing checked or explained.
fn makes(arguments: &[OsString]) -> bool {
    let other = ["verify", "keygen", "help", "--help", "-h"].map(OsStr::new);
    !arguments
        .iter()
        .any(|argument| other.contains(&argument.as_os_str()))
}

fn needs_programs(arguments: &[OsString]) -> bool {
    !given(arguments, "--binaries") && !given(arguments, "--trial")
}

/// Whether an option is among the arguments.
fn given(arguments: &[OsString], option: &str) -> bool {
    value(arguments, option).is_some()
}

/// An option's value, given as `--option value` or `--option=value`; empty when it takes none.
fn value(arguments: &[OsString], option: &str) -> Option<OsString> {
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        let rest = argument.as_bytes().strip_prefix(option.as_bytes());
        match rest {
            Some([]) => return Some(left.next().cloned().unwrap_or_default()),
            Some([b'=', value @ ..]) => return Some(OsStr::from_bytes(value).to_owned()),
            Some(_) | None => {}
        }
    }
    None
}

/// Builds the programs for Macs; where MLX's Metal kernels are.
fn build(arguments: &[OsString]) -> Result<PathBuf> {
    setup::for_product()?;
    let kernels = paths::target().join("metal");
    let mut build = cargo();
    build.args(["build", "--release", "--target", TARGET]);
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    if let Some(folder) = unpack_sparkle(arguments)? {
        build.args(["--features", "app/updates"]);
        build.env("SPARKLE_FRAMEWORK_PATH", folder);
    }
    build.arg("--target-dir").arg(paths::target());
    // MLX's build writes its kernels there, instead of into the home folder.
    build.env("MLX_RS_METAL_PATH", &kernels);
    build.env("MACOSX_DEPLOYMENT_TARGET", "14.0");
    pass_through("The build for release", &mut build, "see the errors above")?;
    Ok(kernels.join("mlx.metallib"))
}

/// The app links the framework, so its build needs it where the bundle will have it later; the folder it is in.
fn unpack_sparkle(arguments: &[OsString]) -> Result<Option<PathBuf>> {
    let options = ["--sparkle", "--sparkle-sha256"].map(|option| value(arguments, option));
    let [Some(archive), Some(hash)] = options else {
        return Ok(None);
    };
    let folder = paths::setup().join("sparkle");
    let mut unpack = Command::new(paths::program(TOOLS));
    unpack.arg("unpack-sparkle").args([archive, hash]);
    pass_through(
        "Unpacking Sparkle",
        unpack.arg(&folder),
        "see the error above",
    )?;
    Ok(Some(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_making_needs_an_output_and_programs() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(OsString::from)
                .collect::<Vec<_>>()
        };
        assert!(makes(&words("")) && needs_programs(&words("")));
        assert!(makes(&words("--trial")) && !needs_programs(&words("--trial")));
        assert!(makes(&words("--p12 a")) && !needs_programs(&words("--binaries=here")));
        assert!(
            given(&words("--output a"), "--output") && !given(&words("--outputs a"), "--output")
        );
        assert_eq!(value(&words("--a b --c=d"), "--c"), Some("d".into()));
        assert_eq!(value(&words("--a b --c=d"), "--a"), Some("b".into()));
        assert_eq!(value(&words("--a b"), "--c"), None);
        for other in ["verify target/dist", "keygen key", "--help"] {
            assert!(!makes(&words(other)), "{other}");
        }
    }
}
