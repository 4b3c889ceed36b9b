//! Remembers that a part of set-up is done, and for which inputs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::command::hex;
use crate::paths;

/// The stamp of one part of set-up.
pub struct Stamp {
    file: PathBuf,
    inputs: String,
}

impl Stamp {
    /// The stamp named `name` for exactly these inputs: versions, recipes, the contents of source files.
    pub fn new(name: &str, inputs: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for input in inputs {
            hash.update((input.len() as u64).to_le_bytes());
            hash.update(input);
        }
        let file = paths::setup().join(format!("{name}.done"));
        Self {
            file,
            inputs: hex(&hash.finalize()),
        }
    }

    /// Whether this part was finished for these inputs.
    pub fn is_set(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|done| done == self.inputs)
    }

    /// Remembers that it is finished. Called last, so that an interrupted part is done again.
    pub fn set(&self) -> Result<()> {
        Ok(fs::write(&self.file, &self.inputs)?)
    }
}

/// The contents of all files under `folder`, in a fixed order, each with its path.
pub fn contents(folder: &Path) -> Result<Vec<u8>> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    let mut all = Vec::new();
    for entry in entries {
        all.extend(entry.path().to_string_lossy().as_bytes());
        if entry.file_type()?.is_dir() {
            all.extend(contents(&entry.path())?);
        } else {
            all.extend(fs::read(entry.path())?);
        }
    }
    Ok(all)
}
