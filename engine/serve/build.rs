//! Lists the files of the built dashboard for `src/dashboard.rs`. None is fine: then there is a page that says so.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Where this checkout is now: the script may have been compiled by another one that shares the target folder.
    let dist = Path::new(&cargo_says("CARGO_MANIFEST_DIR")?).join("../../ui/dist");
    // A folder that is not there yet counts as changed when it comes.
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(&dist.canonicalize()?, &mut files)?;
    }
    files.sort();
    let mut list = String::from("[");
    for file in &files {
        let root = dist.canonicalize()?;
        let below = file.strip_prefix(root).map_err(io::Error::other)?;
        let path = below.to_string_lossy().replace('\\', "/");
        // As text, so that it can be written as a string literal.
        let file = file
            .to_str()
            .ok_or_else(|| io::Error::other("a path is no text"))?;
        let line = writeln!(
            list,
            "Asset {{ path: {path:?}, bytes: include_bytes!({file:?}) }},"
        );
        line.map_err(io::Error::other)?;
    }
    list.push(']');
    let out = cargo_says("OUT_DIR")?;
    fs::write(Path::new(&out).join("assets.rs"), list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script in no other way"
)]
fn cargo_says(name: &str) -> io::Result<OsString> {
    env::var_os(name).ok_or_else(|| io::Error::other("run by cargo only"))
}
