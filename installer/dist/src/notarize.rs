//! Apple's approval of a disk image, by Xcode's own tools: on a Mac, and only when asked for.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Sends the image to Apple, waits for the answer, and attaches it to the image.
pub fn notarize(image: &Path, keychain_profile: &str) -> Result<()> {
    let mut submit = Command::new("xcrun");
    submit.args([
        "notarytool",
        "submit",
        "--wait",
        "--keychain-profile",
        keychain_profile,
    ]);
    run(
        submit.arg(image),
        "xcrun notarytool log ID --keychain-profile PROFILE says what Apple refused",
    )?;
    let mut staple = Command::new("xcrun");
    run(
        staple.args(["stapler", "staple"]).arg(image),
        "was it accepted? see the lines above",
    )
}

fn run(command: &mut Command, hint: &str) -> Result<()> {
    let status = command
        .status()
        .context("cannot start xcrun\nhint: notarizing needs a Mac with Xcode; leave --notary-profile out elsewhere")?;
    ensure!(
        status.success(),
        "notarizing ended with {status}\nhint: {hint}"
    );
    Ok(())
}
