//! Where things are: the checkout, cargo's target folder, and what set-up keeps inside of it.

use std::path::{Path, PathBuf};

/// The checkout.
pub fn workspace() -> PathBuf {
    // This crate lies directly in it, and cargo says where this crate is: as it runs it, for this program may have been
    // built in another checkout that shares the target folder.
    #[expect(clippy::disallowed_methods, reason = "cargo's own variable")]
    let runs = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = runs.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    own.parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// Cargo's target folder: this program was built inside of it.
pub fn target() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "cargo's own variable")]
    let configured = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    configured.map_or_else(
        || workspace().join("target"),
        |folder| workspace().join(folder),
    )
}

/// What set-up fetched and built; safe to delete.
pub fn setup() -> PathBuf {
    target().join("setup")
}

/// A program of the workspace, once built.
pub fn program(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// The interpreter in which the tests' Python packages are installed.
pub fn test_python() -> PathBuf {
    setup().join("venv/bin/python")
}
