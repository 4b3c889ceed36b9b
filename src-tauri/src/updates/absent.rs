//! A build without updates. Nobody can ask it for any: neither menu nor page has anything to click.

use tauri::AppHandle;

const WHY: &str = "this build of Espalier cannot update itself";

pub(crate) fn start(_: &AppHandle) {}

pub(crate) fn offered(_: &AppHandle) -> bool {
    false
}

pub(crate) fn check(_: &AppHandle) -> Result<(), String> {
    Err(WHY.to_owned())
}

pub(crate) fn automatic(_: &AppHandle) -> Result<bool, String> {
    Err(WHY.to_owned())
}

pub(crate) fn set_automatic(_: &AppHandle, _: bool) -> Result<(), String> {
    Err(WHY.to_owned())
}
