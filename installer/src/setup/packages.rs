//! Debian packages: installs what is missing where that is allowed, and otherwise says the command to type.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::command::step;

/// Makes sure that these packages are installed.
pub fn require(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!(
        "sudo apt-get update && sudo apt-get install -y {}",
        missing.join(" ")
    );
    if !crate::command::exists("apt-get") {
        bail!(
            "missing: {}\nhint: install what your system calls these Debian packages",
            missing.join(", ")
        );
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("some system packages are missing\nhint: {by_hand}");
    }
    let hint = format!("check the network and try it by hand: {by_hand}");
    step(
        "Reading the list of system packages",
        Command::new("apt-get").arg("update"),
        &hint,
    )?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install
        .args(["install", "-y", "--no-install-recommends"])
        .args(&missing);
    step(
        &format!("Installing {}", missing.join(", ")),
        &mut install,
        &hint,
    )
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(Stdio::null());
    query
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}
