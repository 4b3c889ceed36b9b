//! What the bundle is made from, checked before anything is written: the programs, Sparkle, the Metal kernels.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::names::{APP_PROGRAM, PROGRAMS};

const MACHO_64: u32 = 0xfeed_facf;
const MACHO_FAT: u32 = 0xcafe_babe;
const ARM64: u32 = 0x0100_000c;
const EXECUTABLE: u32 = 2;
/// Before the load commands of a 64-bit Mach-O.
const HEADER_BYTES: usize = 32;
/// As the app asks macOS for Sparkle.
const SPARKLE_LIBRARY: &str = "@rpath/Sparkle.framework/";

/// A folder that holds all programs of the bundle, each of them an arm64 Mach-O executable.
#[derive(Debug)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Checks every program in `folder`.
    pub fn find(folder: &Path) -> Result<Self> {
        for name in PROGRAMS {
            let file = folder.join(name);
            let bytes = fs::read(&file).with_context(|| {
                format!(
                    "{} is missing\nhint: --binaries is the folder with all of: {}",
                    file.display(),
                    PROGRAMS.join(", ")
                )
            })?;
            check_program(&bytes).with_context(|| format!("{} cannot be used", file.display()))?;
        }
        let folder = folder.to_path_buf();
        Ok(Self { folder })
    }

    /// Whether the app was built with updates: macOS starts it only with Sparkle in its bundle.
    pub fn need_sparkle(&self) -> Result<bool> {
        let bytes = fs::read(self.path(APP_PROGRAM))?;
        let named = SPARKLE_LIBRARY.as_bytes();
        let commands = load_commands(&bytes);
        Ok(commands.windows(named.len()).any(|part| part == named))
    }

    /// Where a program is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn check_program(bytes: &[u8]) -> Result<()> {
    let word = |at: usize| {
        let word = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(word.try_into().ok()?))
    };
    let hint = "hint: build it on a Mac for aarch64-apple-darwin";
    match word(0) {
        Some(MACHO_64) => {}
        Some(magic) if magic.swap_bytes() == MACHO_FAT => {
            bail!("it holds programs for several processors; only arm64 is shipped\n{hint}")
        }
        _ if bytes.starts_with(b"\x7fELF") => bail!("it is a program for Linux\n{hint}"),
        _ => bail!("it is not a Mach-O file\n{hint}"),
    }
    ensure!(word(4) == Some(ARM64), "it is not for arm64\n{hint}");
    ensure!(
        word(12) == Some(EXECUTABLE),
        "it is a library or an object, not a program\n{hint}"
    );
    Ok(())
}

/// The part of a program that says what to load with it.
fn load_commands(bytes: &[u8]) -> &[u8] {
    let length = bytes.get(20..24).and_then(|word| word.try_into().ok());
    let length = u32::from_le_bytes(length.unwrap_or_default()) as usize;
    let commands = bytes.get(HEADER_BYTES..).unwrap_or_default();
    &commands[..length.min(commands.len())]
}

/// Sparkle's release archive, of which the framework is taken.
#[derive(Debug)]
pub struct Sparkle {
    archive: PathBuf,
}

impl Sparkle {
    /// Checks the archive against the hash that was asked for.
    pub fn find(archive: &Path, sha256: &str) -> Result<Self> {
        let bytes = fs::read(archive).with_context(|| {
            format!(
                "cannot read {}\nhint: --sparkle is Sparkle-2.x.tar.xz from Sparkle's releases",
                archive.display()
            )
        })?;
        let found = hex(&Sha256::digest(&bytes));
        ensure!(
            found.eq_ignore_ascii_case(sha256),
            "{} has the SHA-256 {found}, not {sha256}\nhint: download it again, or compare the hash with Sparkle's release page",
            archive.display()
        );
        let archive = archive.to_path_buf();
        Ok(Self { archive })
    }

    /// Unpacks `Sparkle.framework` into `folder`.
    pub fn unpack(&self, folder: &Path) -> Result<()> {
        let unpacked = tempfile::tempdir()?;
        let status = Command::new("tar")
            .arg("-xf")
            .arg(&self.archive)
            .arg("-C")
            .arg(unpacked.path())
            .status()
            .context("cannot start tar\nhint: install tar and xz")?;
        ensure!(
            status.success(),
            "tar cannot unpack {}\nhint: install xz (Debian: xz-utils)",
            self.archive.display()
        );
        let framework = unpacked.path().join("Sparkle.framework");
        ensure!(
            framework.is_dir(),
            "{} holds no Sparkle.framework\nhint: it is Sparkle's release archive, not its source",
            self.archive.display()
        );
        let to = folder.join("Sparkle.framework");
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        copy_tree(&framework, &to)
    }
}

/// Copies a folder with its symbolic links as links.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Bytes as lowercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::WORKER_PROGRAM;
    use crate::trial;

    #[test]
    fn only_arm64_programs_are_taken() {
        let good = trial::program("one");
        assert!(check_program(&good).is_ok());
        let refused = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            check_program(&bytes).unwrap_err().to_string()
        };
        assert!(refused(0, 0).contains("not a Mach-O"));
        assert!(refused(4, 7).contains("not for arm64"));
        assert!(refused(12, 6).contains("a library"));
        let fat = check_program(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2]).unwrap_err();
        assert!(fat.to_string().contains("several processors"), "{fat}");
        let linux = check_program(b"\x7fELF\x02\x01").unwrap_err();
        assert!(linux.to_string().contains("Linux"), "{linux}");
        assert!(check_program(b"").is_err());
    }

    #[test]
    fn an_app_that_loads_sparkle_is_known_by_its_load_commands() {
        let folder = tempfile::tempdir().unwrap();
        trial::write_programs(folder.path()).unwrap();
        let programs = Programs::find(folder.path()).unwrap();
        assert!(!programs.need_sparkle().unwrap());
        let file = programs.path(APP_PROGRAM);
        let mut bytes = fs::read(&file).unwrap();
        let library = format!("{SPARKLE_LIBRARY}Versions/B/Sparkle");
        // As data it says nothing.
        bytes.extend(library.as_bytes());
        fs::write(&file, &bytes).unwrap();
        assert!(!programs.need_sparkle().unwrap());
        let length = load_commands(&bytes).len();
        bytes[HEADER_BYTES + length..][..library.len()].copy_from_slice(library.as_bytes());
        let longer = (length + library.len()) as u32;
        bytes[20..24].copy_from_slice(&longer.to_le_bytes());
        fs::write(&file, &bytes).unwrap();
        assert!(programs.need_sparkle().unwrap());
    }

    #[test]
    fn a_missing_program_is_named() {
        let folder = tempfile::tempdir().unwrap();
        trial::write_programs(folder.path()).unwrap();
        assert!(Programs::find(folder.path()).is_ok());
        fs::remove_file(folder.path().join(WORKER_PROGRAM)).unwrap();
        let error = Programs::find(folder.path()).unwrap_err().to_string();
        assert!(error.contains("espalier-worker is missing"), "{error}");
    }

    #[test]
    fn sparkle_with_another_hash_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "abc").unwrap();
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(Sparkle::find(file.path(), right).is_ok());
        let error = Sparkle::find(file.path(), &right.replace("ba78", "ba79")).unwrap_err();
        assert!(error.to_string().contains(right), "{error}");
    }
}
