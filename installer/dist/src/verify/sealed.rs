//! Checks a bundle folder: every file is sealed, nothing is missing, nothing was added, and nested code is whole.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use apple_codesign::SignedMachOInfo;
use plist::{Dictionary, Value};
use sha2::{Digest, Sha256};

use super::macho;
use super::signature::{self, Bundle};
use crate::bundle::{PACKAGE_INFO, files};
use crate::plists::dictionary;

const RESOURCES: &str = "_CodeSignature/CodeResources";
/// Covered by the main program's signature instead, or (`PkgInfo`) always the same.
const UNSEALED: [&str; 3] = ["Info.plist", "PkgInfo", RESOURCES];

/// Checks the bundle in `folder` and all bundles inside of it; its main program, and the hash of that one's signature.
pub fn check(folder: &Path) -> Result<(PathBuf, [u8; 20])> {
    let inside = inside(folder)?;
    let info_at = ["Info.plist", "Resources/Info.plist"].map(|path| inside.join(path));
    let info_at = info_at.iter().find(|path| path.is_file());
    let info_at = info_at.with_context(|| named(folder, "it has no Info.plist"))?;
    let info_bytes = read(info_at)?;
    let info = dictionary(&info_bytes).with_context(|| named(info_at, "it cannot be read"))?;
    let program = inside.join(main_program(&info, &inside, info_at)?);
    let resources_at = inside.join(RESOURCES);
    let resources_bytes = read(&resources_at)?;
    // First the main program: it vouches for the list that all others are compared with.
    let identifier = info.get("CFBundleIdentifier").and_then(Value::as_string);
    let bundle = Bundle {
        identifier: identifier.with_context(|| named(info_at, "it has no identifier"))?,
        info: &info_bytes,
        resources: &resources_bytes,
    };
    let hash = check_code(&program, Some(bundle))?;
    let resources =
        dictionary(&resources_bytes).with_context(|| named(&resources_at, "it cannot be read"))?;
    let sealed = resources.get("files2").and_then(Value::as_dictionary);
    let sealed = sealed.with_context(|| named(&resources_at, "it seals nothing"))?;
    for (path, seal) in sealed {
        check_sealed(&inside.join(path), seal)?;
    }
    for path in files(&inside)? {
        let is_sealed = path
            .ancestors()
            .any(|part| sealed.contains_key(part.to_string_lossy().as_ref()));
        let unsealed = UNSEALED.map(Path::new).contains(&&*path) || inside.join(&path) == program;
        ensure!(
            is_sealed || unsealed,
            named(&inside.join(&path), "it was added after signing")
        );
    }
    let package = inside.join("PkgInfo");
    if package.exists() {
        ensure!(
            read(&package)? == PACKAGE_INFO.as_bytes(),
            named(&package, "it was changed")
        );
    }
    Ok((program, hash))
}

/// The folder that a bundle's seal counts from: `Contents`, or a framework's current version.
fn inside(folder: &Path) -> Result<PathBuf> {
    let contents = folder.join("Contents");
    if contents.is_dir() {
        let others = fs::read_dir(folder)?.count() - 1;
        ensure!(
            others == 0,
            named(folder, "there is something beside Contents")
        );
        return Ok(contents);
    }
    let versions = folder.join("Versions");
    let current = fs::read_link(versions.join("Current"))
        .with_context(|| named(folder, "it is neither an app nor a framework with versions"))?;
    for entry in fs::read_dir(&versions)? {
        let name = entry?.file_name();
        let known = name == "Current" || Path::new(&name) == current;
        ensure!(
            known,
            named(&versions.join(&name), "it is not the current version")
        );
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().context("an entry has a name")?;
        let expected = Path::new("Versions/Current").join(name);
        let linked = fs::read_link(&path).is_ok_and(|target| target == expected && path.exists());
        ensure!(
            linked || name == "Versions",
            named(&path, "it is not a link into the current version")
        );
    }
    Ok(versions.join(current))
}

fn main_program(info: &Dictionary, inside: &Path, info_at: &Path) -> Result<PathBuf> {
    let name = info.get("CFBundleExecutable").and_then(Value::as_string);
    let name = name.with_context(|| named(info_at, "it names no program"))?;
    let is_app = inside.join("Info.plist").is_file();
    Ok(if is_app {
        Path::new("MacOS").join(name)
    } else {
        name.into()
    })
}

fn check_sealed(path: &Path, seal: &Value) -> Result<()> {
    let part = |key: &str| seal.as_dictionary().and_then(|seal| seal.get(key));
    let hash = seal
        .as_data()
        .or_else(|| part("hash2").and_then(Value::as_data));
    if let Some(target) = part("symlink").and_then(Value::as_string) {
        let found = fs::read_link(path).with_context(|| named(path, "it is missing"))?;
        ensure!(
            found == Path::new(target),
            named(path, "it leads elsewhere")
        );
        ensure!(path.exists(), named(path, "it leads nowhere"));
    } else if let Some(expected) = part("cdhash").and_then(Value::as_data) {
        let (program, hash) = if path.is_dir() {
            check(path)?
        } else {
            (path.to_path_buf(), check_code(path, None)?)
        };
        ensure!(
            hash == expected,
            named(&program, "its signature was changed")
        );
        let bytes = read(&program)?;
        let info = SignedMachOInfo::parse_data(&bytes)
            .with_context(|| named(&program, "it is damaged"))?;
        let requirement = part("requirement").and_then(Value::as_string);
        ensure!(
            info.designated_code_requirement.as_deref() == requirement,
            named(
                &program,
                "it is signed by someone else than the bundle says"
            )
        );
    } else if let Some(expected) = hash {
        ensure!(
            Sha256::digest(read(path)?)[..] == *expected,
            named(path, "it was changed after signing")
        );
        if macho::is_macho(&read(path)?) {
            check_code(path, None)?;
        }
    } else {
        bail!(named(path, "it is sealed in an unknown way"));
    }
    Ok(())
}

/// Checks the signature of every part of a program or library; the first one's hash.
fn check_code(path: &Path, bundle: Option<Bundle<'_>>) -> Result<[u8; 20]> {
    let bytes = read(path)?;
    code_hash(&bytes, bundle).with_context(|| path.display().to_string())
}

/// [`check_code`] for bytes in memory.
pub fn code_hash(bytes: &[u8], bundle: Option<Bundle<'_>>) -> Result<[u8; 20]> {
    let slices = macho::slices(bytes)?;
    let hashes: Result<Vec<_>> = slices
        .iter()
        .map(|slice| signature::check(slice, bundle))
        .collect();
    hashes?.first().copied().context("it holds no code")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| named(path, "it is missing"))
}

fn named(path: &Path, problem: &str) -> String {
    format!("{}: {problem}", path.display())
}
