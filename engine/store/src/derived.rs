//! The derived models of a data folder: a small file each, whole at any moment. Owns `<data>/derived-models`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use base::{DerivedModel, ErrorCode, Failure};
use sha2::{Digest, Sha256};

mod file;

use file::DerivedFile;

/// As many as anybody makes.
const MODELS_MAX: usize = 1000;
/// Bytes of a file: instructions, a template and some turns.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Longest name.
const NAME_BYTES_MAX: usize = 200;

/// A derived model under its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    /// Its name, as it was given.
    pub name: String,
    /// When it was made or changed, seconds since 1970; 0 if that is not known.
    pub changed_unix_seconds: u64,
    /// What it is.
    pub model: DerivedModel,
}

/// Why a derived model cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum DerivedError {
    /// No name of a model.
    #[error(
        "{name:?} is no name for a model (hint: use letters, digits, '-', '_' and '.', with '/' between owner and name and ':' before a tag)"
    )]
    Name {
        /// What was given, or its beginning.
        name: String,
    },
    /// A model that is here already, and is no derived one.
    #[error("{name} is a model with files of its own here (hint: choose another name)")]
    Taken {
        /// Its name.
        name: String,
    },
    /// A model that is here, and is no derived one, is run by it.
    #[error("{name} is what {by} runs (hint: delete {by} first)")]
    Needed {
        /// The model.
        name: String,
        /// A derived one.
        by: String,
    },
    /// Larger than any real one.
    #[error(
        "the model's words take {bytes} bytes, more than {FILE_BYTES_MAX} (hint: shorten its messages)"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Enough.
    #[error("{MODELS_MAX} models have been created here (hint: delete one that is not needed)")]
    TooMany,
    /// The system refused.
    #[error("cannot write {}: {error} (hint: is the disk full, or the folder read-only?)", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// The folder with the files.
#[derive(Debug)]
pub(crate) struct DerivedModels {
    folder: PathBuf,
}

impl DerivedModels {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The one of that name, whatever its capitals.
    pub(crate) fn get(&self, name: &str) -> Option<Derived> {
        let found = read(&self.path(name))?;
        // Two names could only meet by a collision of the hash, and a file can be put there by hand.
        (found.name.to_lowercase() == name.to_lowercase()).then_some(found)
    }

    /// All of them, by name. A file that cannot be understood is passed over.
    pub(crate) fn list(&self) -> Vec<Derived> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let files = entries.take(2 * MODELS_MAX).filter_map(Result::ok);
        let found = files.filter_map(|file| {
            let found = read(&file.path())?;
            (self.path(&found.name) == file.path()).then_some(found)
        });
        let mut all: Vec<Derived> = found.collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Keeps a model in the place of one of the same name.
    pub(crate) fn keep(&self, name: &str, model: &DerivedModel) -> Result<(), DerivedError> {
        check_name(name)?;
        let path = self.path(name);
        if !path.exists() && self.list().len() >= MODELS_MAX {
            return Err(DerivedError::TooMany);
        }
        let failed = |error| DerivedError::Io {
            path: path.clone(),
            error,
        };
        let text = DerivedFile::of(name, model).text().map_err(failed)?;
        if text.len() > FILE_BYTES_MAX {
            return Err(DerivedError::TooLarge { bytes: text.len() });
        }
        write(&self.folder, &path, text.as_bytes()).map_err(failed)
    }

    /// Whether there was one of that name; it is gone now.
    pub(crate) fn remove(&self, name: &str) -> Result<bool, DerivedError> {
        if self.get(name).is_none() {
            return Ok(false);
        }
        let path = self.path(name);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(DerivedError::Io { path, error }),
        }
    }

    /// A name may have slashes and any capitals, and file systems differ about both: the file is called by a hash.
    fn path(&self, name: &str) -> PathBuf {
        use std::fmt::Write;
        let hash = Sha256::digest(name.to_lowercase().as_bytes());
        let digits = hash.iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        self.folder.join(format!("{digits}.json"))
    }
}

fn check_name(name: &str) -> Result<(), DerivedError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
            && part.chars().all(plain)
    };
    let (path, tag) = name.split_once(':').unwrap_or((name, "latest"));
    if name.len() <= NAME_BYTES_MAX && path.split('/').all(part) && part(tag) {
        return Ok(());
    }
    let name = name.chars().take(NAME_BYTES_MAX).collect();
    Err(DerivedError::Name { name })
}

fn read(path: &Path) -> Option<Derived> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX as u64 {
        return None;
    }
    let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok();
    let (name, model) = DerivedFile::read(&std::fs::read(path).ok()?)?;
    check_name(&name).ok()?;
    Some(Derived {
        name,
        changed_unix_seconds: changed.map_or(0, |since| since.as_secs()),
        model,
    })
}

/// At any moment either the old or the new file is there.
fn write(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    std::fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let written = std::fs::File::create(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    });
    if written.is_err() {
        // Half a file on a full disk is only in the way.
        let _ = std::fs::remove_file(&new);
    }
    written
}

impl From<DerivedError> for Failure {
    fn from(error: DerivedError) -> Self {
        let code = match &error {
            DerivedError::Name { .. }
            | DerivedError::Taken { .. }
            | DerivedError::Needed { .. }
            | DerivedError::TooMany => ErrorCode::InvalidRequest,
            DerivedError::TooLarge { .. } => ErrorCode::TooLarge,
            DerivedError::Io { .. } => ErrorCode::Internal,
        };
        crate::catalogue::failure(code, &error)
    }
}

#[cfg(test)]
mod tests;
