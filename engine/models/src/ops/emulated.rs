//! Metal kernels in tests on a machine without Metal: MLX's function that makes them is replaced by one that compiles their
//! source as C++ (`tests/metal/kernels.cpp`), in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Set in that process.
const UNDER_METAL: &str = "ESPALIER_TEST_UNDER_METAL";

/// Whether kernels can be run here. If not, the test of this name has been run where they can, and was passed.
#[expect(
    clippy::disallowed_methods,
    reason = "what it reads it has set itself, for the process that it starts"
)]
pub(crate) fn is_under_metal(test: &str) -> bool {
    if std::env::var_os(UNDER_METAL).is_some() {
        super::kernels::pretend();
        return true;
    }
    if super::kernels::are_metal() {
        return true;
    }
    let own = std::env::current_exe().expect("a path");
    let mlx = mlx_of(&own);
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("kernels.so");
    build(&library, &mlx);
    let preloaded = format!("{}:{}", library.display(), mlx.display());
    let status = Command::new(own)
        .args([test, "--exact", "--nocapture"])
        .env("LD_PRELOAD", preloaded)
        .env(UNDER_METAL, "")
        .status();
    assert!(status.expect("the test's own program").success(), "{test}");
    false
}

fn build(library: &Path, mlx: &Path) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/metal");
    let include = mlx.parent().and_then(Path::parent).expect("MLX's folder");
    let include = include.join("include");
    let status = Command::new("c++")
        .args(["-std=c++20", "-O1", "-shared", "-fPIC", "-I"])
        .arg(&include)
        .arg(format!("-DMETAL_FOLDER=\"{}\"", sources.display()))
        .arg(format!("-DMLX_INCLUDE=\"{}\"", include.display()))
        .arg(sources.join("kernels.cpp"))
        .arg("-o")
        .arg(library)
        .status();
    assert!(status.expect("c++").success());
}

/// The file of MLX that a program loads.
fn mlx_of(program: &Path) -> PathBuf {
    let output = Command::new("ldd").arg(program).output().expect("ldd");
    let printed = String::from_utf8(output.stdout).expect("text");
    let line = printed.lines().find(|line| line.contains("libmlx.so"));
    let path = line.and_then(|line| line.split_whitespace().nth(2));
    path.expect("libmlx.so").into()
}
