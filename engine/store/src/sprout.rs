//! The model inside this program: a fresh machine has no other. Owns `<data>/models/sprout`.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The name of the embedded model.
pub const SPROUT: &str = "sprout";

/// Made by `sprout/train`, whose README says how.
const FILES: [(&str, &[u8]); 5] = [
    ("config.json", include_bytes!("../sprout/config.json")),
    (
        "generation_config.json",
        include_bytes!("../sprout/generation_config.json"),
    ),
    (
        "model.safetensors",
        include_bytes!("../sprout/model.safetensors"),
    ),
    ("tokenizer.json", include_bytes!("../sprout/tokenizer.json")),
    (
        "tokenizer_config.json",
        include_bytes!("../sprout/tokenizer_config.json"),
    ),
];

/// Why the embedded model could not be laid out on disk.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the embedded model to {}: {error} (hint: free some space or choose another place with --data)", path.display())]
pub struct SproutError {
    /// The file or folder at fault.
    pub path: PathBuf,
    /// What the system said.
    pub error: std::io::Error,
}

/// Makes `<models>/sprout` hold exactly the embedded files, and touches nothing if it does.
///
/// The folder is complete from the moment it has its name: it is written under another name first. What was there
/// before is replaced, since the name belongs to this program.
pub(crate) fn lay_out(models: &Path) -> Result<PathBuf, SproutError> {
    let target = models.join(SPROUT);
    if is_whole(&target) {
        return Ok(target);
    }
    // Hidden names are not listed as models. The process id keeps two programs on one folder apart.
    let fresh = models.join(format!(".{SPROUT}-new-{}", std::process::id()));
    let stale = models.join(format!(".{SPROUT}-old-{}", std::process::id()));
    let placed = write_files(&fresh).and_then(|()| swap(&fresh, &target, &stale));
    // Left over only after an error; the next start would not find them by name.
    let _ = std::fs::remove_dir_all(&fresh);
    let _ = std::fs::remove_dir_all(&stale);
    match placed {
        // Another program that started at the same moment may have been first.
        Err(_) if is_whole(&target) => Ok(target),
        Err(error) => Err(error),
        Ok(()) => Ok(target),
    }
}

/// Whether a folder holds the embedded files, byte for byte, and nothing else.
fn is_whole(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.count() == FILES.len()
        && FILES.iter().all(|(name, bytes)| {
            let path = folder.join(name);
            // The length first, so that a huge file in its place is not read.
            std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == bytes.len() as u64)
                && std::fs::read(&path).is_ok_and(|found| found == *bytes)
        })
}

fn write_files(folder: &Path) -> Result<(), SproutError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| SproutError { path, error }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    for (name, bytes) in FILES {
        let path = folder.join(name);
        let mut file = std::fs::File::create(&path).map_err(failed(&path))?;
        file.write_all(bytes).map_err(failed(&path))?;
        file.sync_all().map_err(failed(&path))?;
    }
    Ok(())
}

/// Gives `fresh` the name `target`; what had it becomes `stale`.
fn swap(fresh: &Path, target: &Path, stale: &Path) -> Result<(), SproutError> {
    let failed = |error| SproutError {
        path: target.to_owned(),
        error,
    };
    match std::fs::rename(target, stale) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    std::fs::rename(fresh, target).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laid_out_once_and_then_left_alone() {
        let models = tempfile::tempdir().unwrap();
        let folder = lay_out(models.path()).unwrap();
        let written = std::fs::metadata(folder.join("model.safetensors"))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(lay_out(models.path()).unwrap(), folder);
        let again = std::fs::metadata(folder.join("model.safetensors"))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(written, again);
        assert_eq!(std::fs::read_dir(models.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_differs_is_replaced() {
        let models = tempfile::tempdir().unwrap();
        let folder = lay_out(models.path()).unwrap();
        for spoil in [
            |folder: &Path| std::fs::write(folder.join("config.json"), "{}").unwrap(),
            |folder: &Path| std::fs::remove_file(folder.join("model.safetensors")).unwrap(),
            |folder: &Path| std::fs::write(folder.join("chat_template.jinja"), "foreign").unwrap(),
            |folder: &Path| {
                std::fs::remove_dir_all(folder).unwrap();
                std::fs::write(folder, "a file in its place").unwrap();
            },
        ] {
            spoil(&folder);
            assert!(!is_whole(&folder));
            lay_out(models.path()).unwrap();
            assert!(is_whole(&folder));
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error_with_a_hint() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = lay_out(file.path()).unwrap_err().to_string();
        assert!(error.contains("hint: free some space"), "{error}");
    }

    #[test]
    fn small_enough_to_come_along() {
        let bytes: usize = FILES.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(bytes < 12_000_000, "{bytes} bytes");
    }
}
