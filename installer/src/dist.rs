//! `cargo xtask dist`: on a Mac builds the programs for release, and then lets the package `dist` do everything else.
//!
//! That package is compiled here and not before: it is much heavier than all other tasks together.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::Result;

use crate::command::{cargo, pass_through};
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
    let mut package = cargo();
    package.args(["run", "--quiet", "--package", "dist", "--"]);
    if makes(arguments) {
        if !arguments.iter().any(|argument| argument == "--output") {
            package.arg("--output").arg(paths::target().join("dist"));
        }
        if cfg!(target_os = "macos") && needs_programs(arguments) {
            let metal = build()?;
            let programs = paths::target().join(TARGET).join("release");
            package.arg("--binaries").arg(programs);
            package.arg("--metallib").arg(metal);
        }
    }
    package.args(arguments);
    // Relative paths in the arguments are the caller's.
    package.current_dir(std::env::current_dir()?);
    eprintln!("  Building the packaging tools (the first time takes minutes) ...");
    pass_through("Packaging", &mut package, "see the message above")
}

/// Whether something is made, and not a made thing checked or explained.
fn makes(arguments: &[OsString]) -> bool {
    let other = ["verify", "keygen", "help", "--help", "-h"].map(OsStr::new);
    !arguments
        .iter()
        .any(|argument| other.contains(&argument.as_os_str()))
}

fn needs_programs(arguments: &[OsString]) -> bool {
    !arguments
        .iter()
        .any(|argument| argument == "--binaries" || argument == "--trial")
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
        assert!(makes(&words("--p12 a")) && !needs_programs(&words("--binaries here")));
        for other in ["verify target/dist", "keygen key", "--help"] {
            assert!(!makes(&words(other)), "{other}");
        }
    }
}
