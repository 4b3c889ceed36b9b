//! The tests' Python: mlx-lm as the numeric reference, and SDKs of clients. The product itself needs no Python.

use std::fs;
use std::process::Command;

use anyhow::Result;

use super::packages;
use super::stamp::Stamp;
use crate::command::step;
use crate::paths;

/// Installs the packages of `tests/requirements.txt` into a virtual environment of their own.
pub fn install() -> Result<()> {
    let requirements = paths::workspace().join("tests/requirements.txt");
    let stamp = Stamp::new("venv", &[&fs::read(&requirements)?]);
    if stamp.is_set() && paths::test_python().is_file() {
        return Ok(());
    }
    if cfg!(target_os = "linux") {
        packages::require(&["python3-venv"])?;
    }
    let folder = paths::setup().join("venv");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&folder);
    step(
        "Making a Python environment for the tests",
        &mut venv,
        "apt-get install python3-venv",
    )?;
    let mut pip = Command::new(paths::test_python());
    pip.args(["-m", "pip", "install", "--requirement"])
        .arg(&requirements);
    step(
        "Installing the tests' Python packages",
        &mut pip,
        "check the network",
    )?;
    stamp.set()
}
