//! Inputs of packaging, what was made of them, and programs that are not ours to read it with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use dist::names::APP_FOLDER;
use dist::trial;
use tempfile::TempDir;

/// The Debian packages with the programs that the tests start: readers that are not ours.
const PACKAGES: &str = include_str!("../debian-packages.txt");
/// The time in everything that the tests make.
const TIME: &str = "1790000000";

/// Programs, keys and what was made from them.
pub struct Made {
    pub folder: TempDir,
}

impl Made {
    /// Inputs for a build, and nothing made yet.
    pub fn inputs() -> Result<Self> {
        let made = Self {
            folder: tempfile::tempdir()?,
        };
        fs::create_dir(made.path("programs"))?;
        trial::write_programs(&made.path("programs"))?;
        fs::write(made.path("kernels"), "Metal kernels")?;
        let key = dist(&["keygen", &made.text("key")])?;
        ensure!(key.status.success(), "{}", text(&key.stderr));
        fs::write(made.path("public-key"), key.stdout)?;
        Ok(made)
    }

    /// A build with a feed and further options.
    pub fn with(options: &[&str]) -> Result<Self> {
        let made = Self::inputs()?;
        made.make("out", options)?;
        Ok(made)
    }

    pub fn make(&self, output: &str, options: &[&str]) -> Result<()> {
        let (output, programs) = (self.text(output), self.text("programs"));
        let (kernels, key) = (self.text("kernels"), self.text("key"));
        let mut all = vec![
            "--output",
            &output,
            "--binaries",
            &programs,
            "--metallib",
            &kernels,
        ];
        all.extend([
            "--ed-key-file",
            &key,
            "--url",
            "https://example.com/updates",
        ]);
        all.extend(options);
        let made = dist(&all)?;
        ensure!(made.status.success(), "{}", text(&made.stderr));
        Ok(())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn app(&self) -> PathBuf {
        self.path("out").join(APP_FOLDER)
    }

    pub fn image(&self) -> PathBuf {
        self.path("out")
            .join(format!("Espalier-{}.dmg", env!("CARGO_PKG_VERSION")))
    }
}

pub fn dist(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dist"));
    Ok(command
        .env("SOURCE_DATE_EPOCH", TIME)
        .args(arguments)
        .output()?)
}

/// Runs a program of the system, the first of `names` that is there.
pub fn reader(names: &[&str], arguments: &[&str]) -> Result<String> {
    for name in names {
        match Command::new(name).args(arguments).output() {
            Ok(output) => {
                let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
                ensure!(
                    output.status.success(),
                    "{name} {arguments:?} failed: {shown}"
                );
                return Ok(shown);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(names.join(" or ")),
        }
    }
    bail!(
        "{} is missing\nhint: sudo apt-get install -y {}",
        names.join(" or "),
        PACKAGES.replace('\n', " ")
    )
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Changes one byte, runs `check`, and puts the byte back.
pub fn with_changed_byte<T>(file: &Path, at: usize, check: impl FnOnce() -> T) -> Result<T> {
    let bytes = fs::read(file)?;
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    fs::write(file, changed)?;
    let outcome = check();
    fs::write(file, bytes)?;
    Ok(outcome)
}
