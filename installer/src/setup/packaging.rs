//! The programs with which the tests of packaging read what it made, so that they do not believe its own reader.

use anyhow::Result;

use super::packages;

/// Debian's names of them, where the tests read them too.
const READERS: &str = include_str!("../../dist/tests/debian-packages.txt");

/// Installs them.
pub fn install() -> Result<()> {
    if cfg!(target_os = "linux") {
        packages::require(&READERS.lines().collect::<Vec<_>>())?;
    }
    Ok(())
}
