//! Reads `tauri.conf.json` and embeds what the app needs at run time.

fn main() {
    tauri_build::build();
}
