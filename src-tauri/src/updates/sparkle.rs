//! Sparkle asks, downloads, checks and installs, with windows of its own; feed and key are in the bundle's `Info.plist`.

use tauri::{AppHandle, Wry};
use tauri_plugin_sparkle_updater::{SparkleUpdater, SparkleUpdaterExt};

type Updater = SparkleUpdater<Wry>;

/// Who has a version from before a release hears of the next one too; `cargo xtask appcast` puts them on this channel.
const BETA_CHANNEL: &str = "beta";

/// Starts Sparkle. Without it everything else works, so a failure is only logged.
pub(crate) fn start(app: &AppHandle) {
    if let Err(error) = try_start(app) {
        tracing::warn!(%error, "there will be no updates");
    }
}

/// Whether Sparkle runs: it does not outside of a bundle.
pub(crate) fn offered(app: &AppHandle) -> bool {
    app.sparkle_updater().is_some()
}

/// Looks for updates, before the user's eyes.
pub(crate) fn check(app: &AppHandle) -> Result<(), String> {
    with(app, Updater::check_for_updates)
}

pub(crate) fn automatic(app: &AppHandle) -> Result<bool, String> {
    with(app, Updater::automatically_checks_for_updates)
}

pub(crate) fn set_automatic(app: &AppHandle, on: bool) -> Result<(), String> {
    with(app, |updater| {
        updater.set_automatically_checks_for_updates(on)
    })
}

fn with<T>(
    app: &AppHandle,
    ask: impl FnOnce(&Updater) -> tauri_plugin_sparkle_updater::Result<T>,
) -> Result<T, String> {
    let updater = app.sparkle_updater().ok_or("Sparkle does not run")?;
    ask(&updater).map_err(|error| error.to_string())
}

fn try_start(app: &AppHandle) -> Result<(), Box<dyn std::error::Error>> {
    app.plugin(tauri_plugin_sparkle_updater::init())?;
    let is_beta = !app.package_info().version.pre.is_empty();
    if let Some(updater) = app.sparkle_updater().filter(|_| is_beta) {
        updater.set_allowed_channels(Some(vec![BETA_CHANNEL.to_owned()]))?;
    }
    Ok(())
}
