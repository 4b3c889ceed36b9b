//! `cargo xtask test`: the one gate, the same here and in CI.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::command::{cargo, pass_through};
use crate::{check_mac, paths, setup};

/// What to test.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only tests whose name contains this; skips formatting, lints and the dashboard.
    filter: Option<String>,
}

/// Runs everything, or the tests that match.
pub fn test(options: &Options) -> Result<()> {
    let start = Instant::now();
    setup::for_tests()?;
    if options.filter.is_none() {
        lint()?;
        check_mac::check_where_possible()?;
        dashboard()?;
    }
    pass_through(
        "Building the tests and the programs that they start",
        // With the dependencies' features as the next step wants them, or it would build them again.
        cargo().args(["build", "--quiet", "--workspace", "--all-targets"]),
        "see the errors above",
    )?;
    let mut nextest = cargo();
    nextest
        .args(["nextest", "run", "--workspace", "--no-fail-fast"])
        .args(&options.filter);
    nextest.env("ESPALIER_TEST_PYTHON", paths::test_python());
    nextest.env("ESPALIER_TEST_NODE", setup::node()?);
    pass_through(
        "The tests",
        &mut nextest,
        "cargo xtask test NAME runs one of them again",
    )?;
    if options.filter.is_none() {
        // nextest runs no examples of documentation.
        pass_through(
            "The documentation's examples",
            cargo().args(["test", "--quiet", "--workspace", "--doc"]),
            "see the output above",
        )?;
    }
    println!(
        "everything passed in {:.0} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn lint() -> Result<()> {
    pass_through("Formatting", cargo().args(["fmt", "--check"]), "cargo fmt")?;
    let mut clippy = cargo();
    clippy.args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]);
    pass_through("Lints", &mut clippy, "see the warnings above")
}

fn dashboard() -> Result<()> {
    let mut npm: Command = setup::npm()?;
    npm.current_dir(paths::workspace().join("ui"))
        .args(["test", "--silent"]);
    pass_through(
        "The dashboard's tests",
        &mut npm,
        "see the output above; `npm test` in ui/ runs them again",
    )
}
