//! The programs with which the tests of packaging read what it made, so that they do not believe its own reader.

use anyhow::Result;

use super::packages;

/// Readers of disk images (two of them), icons and signatures. `installer/dist` names them to whoever lacks one.
const READERS: [&str; 5] = ["7zip", "dmg2img", "sleuthkit", "icnsutils", "openssl"];

/// Installs them.
pub fn install() -> Result<()> {
    if cfg!(target_os = "linux") {
        packages::require(&READERS)?;
    }
    Ok(())
}
