//! The cache that Hugging Face's own tools fill: `models--owner--name/{refs,snapshots/<commit>,blobs}`, where the files of a
//! snapshot are links to blobs. Read as it lies and never written; links that lead out of the cache are not followed.
//!
//! The layout is the one that `huggingface_hub` documents under "Understand caching".

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::folder::FolderError;

const REPOSITORY: &str = "models--";
/// How the name of a blob ends that is still being fetched.
const INCOMPLETE: &str = ".incomplete";
/// Twice the entries of the largest known repository, and deeper than any of them.
const ENTRIES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 4;
/// A name in `refs` holds a commit and nothing else.
const COMMIT_BYTES_MAX: u64 = 64;

/// The models of a cache: their names, `owner/name`, and of each the snapshot that counts, whether it is complete or not.
pub(crate) fn entries(cache: &Path) -> Vec<(String, PathBuf)> {
    let folders = fs::read_dir(cache).into_iter().flatten().flatten();
    let entries = folders.take(ENTRIES_MAX).filter_map(|folder| {
        let name = model_name(folder.file_name().to_str()?)?;
        Some((name, snapshot(&folder.path())?))
    });
    entries.collect()
}

/// Checks that a snapshot is complete, as far as the cache itself says: every link leads to a blob of this cache, nothing of the
/// repository is still being fetched, and of weights in numbered parts all are there.
pub(crate) fn check(cache: &Path, snapshot: &Path) -> Result<(), FolderError> {
    let damaged = |path: &Path, reason: &str| FolderError::Damaged {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let cache = cache
        .canonicalize()
        .map_err(|error| FolderError::read(cache, error))?;
    let mut names = BTreeSet::new();
    for path in files(snapshot, DEPTH_MAX)? {
        let blob = path.canonicalize();
        let blob = blob.map_err(|_| damaged(&path, "it is not fetched yet"))?;
        if !blob.starts_with(&cache) {
            return Err(damaged(&path, "it is a link that leads out of the cache"));
        }
        names.extend(
            path.file_name()
                .and_then(|name| name.to_str().map(str::to_owned)),
        );
    }
    let blobs = snapshot
        .ancestors()
        .nth(2)
        .map(|folder| folder.join("blobs"));
    if blobs.is_some_and(|blobs| is_being_fetched(&blobs)) {
        return Err(damaged(
            snapshot,
            "some of its files are still being fetched",
        ));
    }
    match missing_part(&names) {
        None => Ok(()),
        Some(name) => Err(damaged(&snapshot.join(name), "it is not fetched yet")),
    }
}

/// The file that a cache has under a hash, as its tools name blobs. Its content is whatever it is.
pub(crate) fn blob(cache: &Path, owner: &str, name: &str, hash: &str) -> Option<PathBuf> {
    let repository = cache.join(format!("{REPOSITORY}{owner}--{name}"));
    let blob = repository.join("blobs").join(hash);
    let is_file = fs::symlink_metadata(&blob).is_ok_and(|found| found.is_file());
    is_file.then_some(blob)
}

/// The name of a model by that of its folder: hubs allow no `--` in names.
fn model_name(folder: &str) -> Option<String> {
    let name = folder.strip_prefix(REPOSITORY)?;
    let parts: Vec<&str> = name.split("--").collect();
    let fine = parts.len() <= 2
        && parts
            .iter()
            .all(|part| !part.is_empty() && !part.starts_with('.'));
    fine.then(|| parts.join("/"))
}

/// The snapshot that `main` is, or the only one.
fn snapshot(repository: &Path) -> Option<PathBuf> {
    let snapshots = repository.join("snapshots");
    let main = repository.join("refs/main");
    let is_small = fs::metadata(&main).is_ok_and(|file| file.len() <= COMMIT_BYTES_MAX);
    if is_small && let Ok(commit) = fs::read_to_string(&main) {
        let commit = commit.trim();
        let is_commit = !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        return is_commit.then(|| snapshots.join(commit));
    }
    let mut all = fs::read_dir(snapshots).ok()?.flatten();
    let only = all.next()?;
    all.next().is_none().then(|| only.path())
}

/// The files and links in a folder and its folders.
fn files(folder: &Path, depth: usize) -> Result<Vec<PathBuf>, FolderError> {
    let entries = fs::read_dir(folder).map_err(|error| FolderError::read(folder, error))?;
    let mut found = Vec::new();
    for entry in entries.flatten().take(ENTRIES_MAX) {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder {
            found.push(entry.path());
        } else if depth > 0 {
            found.extend(files(&entry.path(), depth - 1)?);
        }
    }
    Ok(found)
}

fn is_being_fetched(blobs: &Path) -> bool {
    let mut entries = fs::read_dir(blobs).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_string_lossy().ends_with(INCOMPLETE))
}

/// Of files like `model-00001-of-00003.safetensors` the first that is not there.
fn missing_part(names: &BTreeSet<String>) -> Option<String> {
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let parted = names.iter().filter_map(|name| {
        let (before, count) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
        let (stem, number) = before.rsplit_once('-')?;
        (digits(count) && digits(number)).then_some((stem, count))
    });
    // Each model once, and not for each of its parts.
    let models: BTreeSet<(&str, &str)> = parted.collect();
    models.into_iter().find_map(|(stem, count)| {
        let mut parts = (1..=count.parse().unwrap_or(0_u32))
            .map(|part| format!("{stem}-{part:05}-of-{count}.safetensors"));
        parts.find(|part| !names.contains(part))
    })
}

#[cfg(test)]
pub(crate) mod tests;
