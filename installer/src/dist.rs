//! `cargo xtask dist`: on a Mac builds the programs for release, and then lets the package `dist` do everything else.
//!
//! That package is compiled here and not before: it is much heavier than all other tasks together.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, pass_through, step};
use crate::{paths, setup};

const TARGET: &str = "aarch64-apple-darwin";
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
    step(
        "Building the packaging tools (the first time takes minutes)",
        cargo().args(["build", "--package", "dist"]),
        "see the errors above",
    )?;
    let mut package = Command::new(paths::program("dist"));
    if makes(arguments) {
        if !given(arguments, "--output") {
            package.arg("--output").arg(paths::target().join("dist"));
        }
        if cfg!(target_os = "macos") && needs_programs(arguments) {
            let metal = build()?;
            let programs = paths::target().join(TARGET).join("release");
            package.arg("--binaries").arg(programs);
            if !given(arguments, "--metallib") {
                package.arg("--metallib").arg(metal);
            }
        }
    }
    // Takes the place of this process, so that its messages are the last.
    Err(package.args(arguments).exec()).context("cannot start the packaging tools")
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

/// Whether an option is among the arguments, as `--option value` or `--option=value`.
fn given(arguments: &[OsString], option: &str) -> bool {
    arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .any(|argument| argument.split('=').next() == Some(option))
}

/// Builds the programs for Macs; where MLX's Metal kernels are.
fn build() -> Result<PathBuf> {
    setup::for_product()?;
    let kernels = paths::target().join("metal");
    let mut build = cargo();
    build.args(["build", "--release", "--target", TARGET]);
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    build.arg("--target-dir").arg(paths::target());
    // MLX's build writes its kernels there, instead of into the home folder.
    build.env("MLX_RS_METAL_PATH", &kernels);
    build.env("MACOSX_DEPLOYMENT_TARGET", "14.0");
    pass_through("The build for release", &mut build, "see the errors above")?;
    Ok(kernels.join("mlx.metallib"))
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
        for other in ["verify target/dist", "keygen key", "--help"] {
            assert!(!makes(&words(other)), "{other}");
        }
    }
}
