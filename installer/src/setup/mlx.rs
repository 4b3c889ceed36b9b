//! MLX for Linux: its CPU library from PyPI, mlx-c built against it, OpenBLAS, and the cargo configuration that
//! hands them to mlx-sys in place of its build script, which knows macOS alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::{bindings, packages, stamp::Stamp};
use crate::command::{cargo, hex, step};
use crate::paths;

/// The MLX that mlx-sys 0.7 binds.
const MLX_CPU_VERSION: &str = "0.32.2";
/// SHA-256 of that wheel for x86-64.
const WHEEL_SHA256: &str = "fc5d31b90fc4f457b2f9614ed45651a567d22a6a11a03d114a90a4e10bdd8878";
/// Debian's folder of OpenBLAS, its threaded build.
const OPENBLAS: &str = "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0";
/// A compiler, `CMake` and Ninja, patchelf for the libraries' names, `{fmt}` for `std::format`, clang for bindgen, OpenBLAS,
/// and Python's pip, which fetches wheels.
const PACKAGES: [&str; 8] = [
    "g++",
    "cmake",
    "ninja-build",
    "patchelf",
    "libfmt-dev",
    "libclang-14-dev",
    "libopenblas0-pthread",
    "python3-pip",
];
const STD_FORMAT: &str = include_str!("../../assets/std_format.h");
const X86_HALF: &str = include_str!("../../assets/x86_half.cpp");

/// Installs MLX unless that is done.
pub fn install() -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        bail!(
            "MLX's CPU build for Linux is set up for x86-64 alone\nhint: use such a machine, or a Mac"
        );
    }
    let recipe = [
        MLX_CPU_VERSION,
        WHEEL_SHA256,
        STD_FORMAT,
        X86_HALF,
        bindings::RECIPE,
        include_str!("mlx.rs"),
    ];
    let stamp = Stamp::new("mlx", &recipe.map(str::as_bytes));
    let folder = paths::setup().join("mlx");
    if !stamp.is_set() || !folder.join("wheel/mlx/lib/libmlxc.so").is_file() {
        eprintln!("Setting up MLX for Linux (once, a few minutes)");
        packages::require(&PACKAGES)?;
        fs::create_dir_all(&folder)?;
        unpack_wheel(&folder)?;
        use_openblas(&folder)?;
        let mlx_c = mlx_c_source()?;
        build_mlx_c(&folder, &mlx_c)?;
        build_x86_half(&folder, &mlx_c)?;
        bindings::generate(&folder, &mlx_c)?;
        stamp.set()?;
    }
    write_cargo_config(&folder)
}

fn unpack_wheel(folder: &Path) -> Result<()> {
    let download = folder.join("download");
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
    ])
    .arg(&download);
    pip.arg(format!("mlx-cpu=={MLX_CPU_VERSION}"));
    step(
        "Fetching MLX's library",
        &mut pip,
        "check the network and that `python3 -m pip` works",
    )?;
    let wheel = fs::read_dir(&download)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "whl"))
        .context("pip fetched no wheel")?;
    let found = hex(&Sha256::digest(fs::read(&wheel)?));
    ensure!(
        found == WHEEL_SHA256,
        "{} is not the file it should be: SHA-256 {found}\nhint: delete it and try again",
        wheel.display()
    );
    let _ = fs::remove_dir_all(folder.join("wheel"));
    let mut unzip = Command::new("python3");
    unzip
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(folder.join("wheel"));
    step(
        "Unpacking MLX's library",
        &mut unzip,
        "check the free disk space",
    )
}

/// The wheel links a reference BLAS, twenty times slower; OpenBLAS carries the same symbols, LAPACK's too.
fn use_openblas(folder: &Path) -> Result<()> {
    ensure!(
        Path::new(OPENBLAS).exists(),
        "{OPENBLAS} is missing\nhint: apt-get install libopenblas0-pthread"
    );
    let mut replaced = 0;
    for entry in fs::read_dir(folder.join("wheel/mlx_cpu.libs"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("libblas-") || name.starts_with("liblapack-") {
            fs::remove_file(&path)?;
            std::os::unix::fs::symlink(OPENBLAS, &path)?;
            replaced += 1;
        }
    }
    ensure!(
        replaced == 2,
        "the wheel's BLAS and LAPACK are not where they were in {MLX_CPU_VERSION}"
    );
    Ok(())
}

/// mlx-c comes inside the source of mlx-sys, which cargo fetches.
fn mlx_c_source() -> Result<PathBuf> {
    step(
        "Fetching the crates",
        cargo().args(["fetch", "--locked"]),
        "check the network",
    )?;
    let mut metadata = cargo();
    metadata.args(["metadata", "--format-version", "1", "--locked"]);
    let output = metadata.output().context("cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let mlx_sys = packages
        .iter()
        .find(|package| package["name"] == "mlx-sys")
        .context("no mlx-sys")?;
    let manifest = mlx_sys["manifest_path"]
        .as_str()
        .context("mlx-sys has no manifest")?;
    let source = Path::new(manifest)
        .parent()
        .context("mlx-sys has no folder")?
        .join("src/mlx-c");
    Ok(source)
}

fn build_mlx_c(folder: &Path, source: &Path) -> Result<()> {
    let include = folder.join("include");
    fs::create_dir_all(&include)?;
    fs::write(include.join("std_format.h"), STD_FORMAT)?;
    fs::write(include.join("format"), "")?;
    let build = folder.join("mlx-c");
    let mut configure = Command::new("cmake");
    configure
        .arg("-S")
        .arg(source)
        .arg("-B")
        .arg(&build)
        .args(["-G", "Ninja"]);
    configure.args([
        "-DCMAKE_BUILD_TYPE=Release",
        "-DMLX_C_USE_SYSTEM_MLX=ON",
        "-DMLX_C_BUILD_EXAMPLES=OFF",
    ]);
    configure.arg("-DBUILD_SHARED_LIBS=ON");
    configure.arg(format!(
        "-DCMAKE_PREFIX_PATH={}",
        folder.join("wheel/mlx").display()
    ));
    configure.arg(format!(
        "-DCMAKE_CXX_FLAGS={}",
        compiler_flags(&include).join(" ")
    ));
    step(
        "Configuring mlx-c",
        &mut configure,
        "see the output above; is a C++ compiler installed?",
    )?;
    let mut compile = Command::new("cmake");
    compile.arg("--build").arg(&build);
    step(
        "Building mlx-c (about a minute)",
        &mut compile,
        "see the output above",
    )?;
    let library = libraries(folder).join("libmlxc.so");
    fs::copy(build.join("libmlxc.so"), &library)?;
    name_by_path(&library)
}

/// Calls a library by where it lies, so that what is linked against it finds it there. The usual way, a search path in
/// every program, would be a linker flag for all crates, and cargo would build them all again when it appears.
fn name_by_path(library: &Path) -> Result<()> {
    let mut patchelf = Command::new("patchelf");
    patchelf.arg("--set-soname").arg(library).arg(library);
    step(
        "Naming the library by its path",
        &mut patchelf,
        "is patchelf installed?",
    )
}

fn build_x86_half(folder: &Path, mlx_c: &Path) -> Result<()> {
    let source = folder.join("x86_half.cpp");
    fs::write(&source, X86_HALF)?;
    let mut compile = Command::new("g++");
    compile
        .args(["-std=c++20", "-O2", "-fPIC", "-shared"])
        .args(compiler_flags(&folder.join("include")));
    compile
        .arg("-I")
        .arg(folder.join("wheel/mlx/include"))
        .arg("-I")
        .arg(mlx_c);
    let library = libraries(folder).join("libespalier_x86_half.so");
    compile.arg(&source).arg("-o").arg(&library);
    compile
        .arg("-L")
        .arg(libraries(folder))
        .args(["-lmlxc", "-lmlx"]);
    step(
        "Building half-precision access for x86",
        &mut compile,
        "see the output above",
    )?;
    name_by_path(&library)
}

fn compiler_flags(include: &Path) -> Vec<String> {
    let header = include.join("std_format.h").display().to_string();
    vec![
        "-include".into(),
        header,
        format!("-I{}", include.display()),
    ]
}

fn libraries(folder: &Path) -> PathBuf {
    folder.join("wheel/mlx/lib")
}

/// Cargo's own override of a build script that `links = "mlx"`. Written only when it changes, or everything that uses MLX
/// would be built again.
fn write_cargo_config(folder: &Path) -> Result<()> {
    let libraries = libraries(folder).display().to_string();
    let text = format!(
        "# Written by `cargo xtask setup`.\n\
         [target.x86_64-unknown-linux-gnu.mlx]\n\
         rustc-link-lib = [\"mlxc\", \"espalier_x86_half\"]\n\
         rustc-link-search = [\"native={libraries}\"]\n\
         rustc-env = {{ OUT_DIR = \"{}\" }}\n",
        bindings::folder(folder).display()
    );
    let file = paths::workspace().join(".cargo/mlx.toml");
    if fs::read_to_string(&file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    Ok(fs::write(file, text)?)
}
