//! Rust declarations of mlx-c's functions, as mlx-sys's build script would make them on a Mac.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, step};

/// What decides the result, for set-up's stamp.
pub const RECIPE: &str = concat!("bindgen 0.72.1", include_str!("../../assets/x86_half.rs"));
/// The release that mlx-sys builds with.
const BINDGEN_VERSION: &str = "0.72.1";
const X86_HALF: &str = include_str!("../../assets/x86_half.rs");

/// The folder of `bindings.rs`, which takes the place of the build script's output folder.
pub fn folder(mlx: &Path) -> PathBuf {
    mlx.join("bindings")
}

/// Makes `bindings.rs` from mlx-c's headers.
pub fn generate(mlx: &Path, mlx_c: &Path) -> Result<()> {
    let tools = mlx.join("tools");
    if !tools.join("bin/bindgen").is_file() {
        let mut install = cargo();
        install
            .args([
                "install",
                "--locked",
                "bindgen-cli",
                "--version",
                BINDGEN_VERSION,
                "--root",
            ])
            .arg(&tools);
        step(
            "Building bindgen (about a minute)",
            &mut install,
            "check the network",
        )?;
    }
    let mut headers: Vec<PathBuf> = fs::read_dir(mlx_c.join("mlx/c"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "h"))
        .collect();
    headers.sort();
    let mut all = String::new();
    for header in headers {
        writeln!(all, "#include \"{}\"", header.display())?;
    }
    let wrapper = mlx.join("mlx_c.h");
    fs::write(&wrapper, all)?;
    let output = mlx.join("mlx_c.rs");
    let mut bindgen = Command::new(tools.join("bin/bindgen"));
    // mlx-sys blocks these two as well: their C sizes trip a lint of newer compilers.
    bindgen.args([
        "--rust-target",
        "1.73",
        "--blocklist-function",
        "malloc",
        "--blocklist-function",
        "realloc",
    ]);
    bindgen
        .arg(&wrapper)
        .arg("-o")
        .arg(&output)
        .arg("--")
        .arg(format!("-I{}", mlx_c.display()));
    step(
        "Making bindings of mlx-c",
        &mut bindgen,
        "is libclang installed (Debian: libclang-14-dev)?",
    )?;
    let bindings = fs::read_to_string(&output)? + X86_HALF;
    let file = folder(mlx).join("bindings.rs");
    fs::create_dir_all(folder(mlx))?;
    // A newer file would have everything that uses MLX built again.
    if fs::read_to_string(&file).is_ok_and(|old| old == bindings) {
        return Ok(());
    }
    Ok(fs::write(&file, bindings)?)
}
