//! Updates by Sparkle: in a build for release on macOS. Every other build has none, and nothing to click.

#[cfg(sparkle)]
mod sparkle;

#[cfg(sparkle)]
pub(crate) use sparkle::{check, offered, start};

#[cfg(not(sparkle))]
pub(crate) use absent::{check, offered, start};

#[cfg(not(sparkle))]
mod absent {
    use tauri::AppHandle;

    pub(crate) fn start(_: &AppHandle) {}

    pub(crate) fn offered(_: &AppHandle) -> bool {
        false
    }

    /// Nobody can ask for it: the menu has no such entry.
    pub(crate) fn check(_: &AppHandle) -> Result<(), String> {
        Err("this build of Espalier cannot update itself".to_owned())
    }
}
