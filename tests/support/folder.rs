//! Where the checkout's files are.

use std::path::{Path, PathBuf};

/// A file or folder, named from that of the tests.
pub fn of_tests(path: &str) -> PathBuf {
    Path::new(env!("ESPALIER_CHECKOUT"))
        .join("tests")
        .join(path)
}

/// The model that comes with the program.
pub fn sprout() -> PathBuf {
    of_tests("../engine/store/sprout")
}
