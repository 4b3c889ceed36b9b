//! Updates by Sparkle: in a build for release on macOS. Every other build has none, and nothing to click.

#[cfg(sparkle)]
mod sparkle;

#[cfg(sparkle)]
use sparkle::{automatic, set_automatic};
#[cfg(sparkle)]
pub(crate) use sparkle::{check, offered, start};

#[cfg(not(sparkle))]
mod absent;

#[cfg(not(sparkle))]
use absent::{automatic, set_automatic};
#[cfg(not(sparkle))]
pub(crate) use absent::{check, offered, start};

use serde::Serialize;
use tauri::AppHandle;

/// What the settings page shows.
#[derive(Debug, Serialize)]
pub struct Updates {
    version: String,
    /// Whether they are looked for without being asked.
    automatic: bool,
}

/// How updates are set; nothing where this build has none.
#[tauri::command]
pub async fn updates(app: AppHandle) -> Result<Option<Updates>, String> {
    if !offered(&app) {
        return Ok(None);
    }
    Ok(Some(Updates {
        version: app.package_info().version.to_string(),
        automatic: automatic(&app)?,
    }))
}

/// Whether updates are looked for without being asked; Sparkle keeps it.
#[tauri::command]
pub async fn set_automatic_updates(app: AppHandle, automatic: bool) -> Result<(), String> {
    set_automatic(&app, automatic)
}

/// Looks for updates, as the menu's entry does.
#[tauri::command]
pub async fn check_for_updates(app: AppHandle) -> Result<(), String> {
    check(&app)
}
