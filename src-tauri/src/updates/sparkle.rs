//! Sparkle asks, downloads, checks and installs, with windows of its own; feed and key are in the bundle's `Info.plist`.

use tauri::AppHandle;
use tauri_plugin_sparkle_updater::SparkleUpdaterExt;

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
    let Some(updater) = app.sparkle_updater() else {
        return Ok(());
    };
    let asked = updater.check_for_updates();
    asked.map_err(|error| error.to_string())
}

fn try_start(app: &AppHandle) -> Result<(), Box<dyn std::error::Error>> {
    app.plugin(tauri_plugin_sparkle_updater::init())?;
    let is_beta = !app.package_info().version.pre.is_empty();
    if let Some(updater) = app.sparkle_updater().filter(|_| is_beta) {
        updater.set_allowed_channels(Some(vec![BETA_CHANNEL.to_owned()]))?;
    }
    Ok(())
}
