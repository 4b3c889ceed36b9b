//! Reads `tauri.conf.json` and embeds what the app needs at run time; decides whether it can look for updates.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(sparkle)");
    if set("CARGO_FEATURE_UPDATES", "1") && set("CARGO_CFG_TARGET_OS", "macos") {
        println!("cargo::rustc-cfg=sparkle");
        // Where a bundle has its frameworks.
        println!("cargo::rustc-link-arg-bins=-Wl,-rpath,@executable_path/../Frameworks");
    }
    tauri_build::build();
}

#[expect(clippy::disallowed_methods, reason = "cargo's own variables")]
fn set(variable: &str, value: &str) -> bool {
    std::env::var(variable).is_ok_and(|found| found == value)
}
