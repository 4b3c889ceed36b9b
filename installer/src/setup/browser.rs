//! The browser in which the tests drive the window, and the packages with which they do. The product needs neither.

use anyhow::Result;

use super::{node_packages, packages};

/// Debian's names of the browser, and of fonts for it where there is no desktop.
const DEBIAN_PACKAGES: [&str; 2] = ["chromium", "fonts-dejavu-core"];

/// Installs the browser and the packages of `tests/browser`. On a Mac the tests take the Chrome that is there.
pub fn install() -> Result<()> {
    if cfg!(target_os = "linux") {
        packages::require(&DEBIAN_PACKAGES)?;
    }
    node_packages::install("browser", "the browser tests' packages")
}
