//! What the menu-bar app needs on Linux: `WebKit` and the tray's library to build it, a screen and a bus to test it.

use anyhow::Result;

use super::packages;

/// Tauri's own requirements, without what only its bundler uses.
const BUILD: [&str; 3] = [
    "libwebkit2gtk-4.1-dev",
    "libayatana-appindicator3-dev",
    "pkg-config",
];
/// An X server, a session bus, `xwininfo`, a font, or the window would be empty, and `WebKit`'s driver of windows.
const TEST: [&str; 5] = [
    "xvfb",
    "dbus-daemon",
    "x11-utils",
    "fonts-dejavu-core",
    "webkit2gtk-driver",
];

/// What compiling it takes. A Mac has it all.
pub fn for_build() -> Result<()> {
    if cfg!(target_os = "linux") {
        packages::require(&BUILD)?;
    }
    Ok(())
}

/// What its tests take besides.
pub fn for_tests() -> Result<()> {
    for_build()?;
    if cfg!(target_os = "linux") {
        packages::require(&TEST)?;
    }
    Ok(())
}
