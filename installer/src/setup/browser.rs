//! The browser in which the tests drive the window, and the packages with which they do. The product needs neither.

use std::fs;

use anyhow::Result;

use super::dashboard::npm;
use super::packages;
use super::stamp::Stamp;
use crate::command::step;
use crate::paths;

/// Debian's names of the browser, and of fonts for it where there is no desktop.
const DEBIAN_PACKAGES: [&str; 2] = ["chromium", "fonts-dejavu-core"];

/// Installs the browser and the packages of `tests/browser`. On a Mac the tests take the Chrome that is there.
pub fn install() -> Result<()> {
    if cfg!(target_os = "linux") {
        packages::require(&DEBIAN_PACKAGES)?;
    }
    let folder = paths::workspace().join("tests/browser");
    let stamp = Stamp::new("browser", &[&fs::read(folder.join("package-lock.json"))?]);
    if stamp.is_set() && folder.join("node_modules").is_dir() {
        return Ok(());
    }
    step(
        "Installing the browser tests' packages",
        npm()?.current_dir(&folder).args(["ci", "--no-audit"]),
        "check the network",
    )?;
    stamp.set()
}
