//! Packages of Node.js that only the tests need, each folder's own `package-lock.json` exactly.

use std::fs;

use anyhow::Result;

use super::dashboard::npm;
use super::stamp::Stamp;
use crate::command::step;
use crate::paths;

/// Installs the packages of `tests/{folder}`, which are `what`.
pub fn install(folder: &str, what: &str) -> Result<()> {
    let path = paths::workspace().join("tests").join(folder);
    let stamp = Stamp::new(folder, &[&fs::read(path.join("package-lock.json"))?]);
    if stamp.is_set() && path.join("node_modules").is_dir() {
        return Ok(());
    }
    step(
        &format!("Installing {what}"),
        npm()?.current_dir(&path).args(["ci", "--no-audit"]),
        "check the network",
    )?;
    stamp.set()
}
