//! Where the checkout's files are.

use std::path::PathBuf;

/// A file or folder, named from that of the tests.
pub fn of_tests(path: &str) -> PathBuf {
    // Cargo says where this crate is as it runs it, for it may have been built in another checkout that shares the target
    // folder.
    #[expect(clippy::disallowed_methods, reason = "cargo's own variable")]
    let runs = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = runs.filter(|folder| folder.ends_with("tests"));
    own.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into())
        .join(path)
}

/// The model that comes with the program.
pub fn sprout() -> PathBuf {
    of_tests("../engine/store/sprout")
}
