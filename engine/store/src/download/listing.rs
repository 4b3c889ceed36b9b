//! What a hub says a repository holds, and which of it a model needs.
//!
//! The form is that of `GET /api/models/{repository}/revision/{revision}?blobs=true` (what `huggingface_hub` asks in
//! `HfApi.model_info(files_metadata=True)`): a commit, and of each file its size, its git blob and, if it is a large one, the
//! SHA-256 of its content.

use std::collections::BTreeMap;

use base::HeldFiles;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::DownloadError;
use super::name::{is_commit, plain, stays_inside};

/// More files than any model's repository.
const FILES_MAX: usize = 20_000;
/// Largest file that is not weights; the loader takes no larger ones either.
const SMALL_BYTES_MAX: u64 = 64 << 20;
/// Files beside the weights that loading, tokenizing and templates read.
const SMALL_FILES: [&str; 14] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "model.safetensors.index.json",
];
/// How the names of weights end.
const WEIGHTS_END: &str = ".safetensors";
/// Without these nothing loads.
const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];
/// How names of weights in formats end that run code when they are read.
const PICKLES: [&str; 5] = [".bin", ".pt", ".pth", ".ckpt", ".pkl"];

/// A file to fetch: a plain name, and what its bytes must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HubFile {
    pub name: String,
    /// Bytes.
    pub size: u64,
    pub digest: Digest,
}

/// The files to fetch, of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    pub commit: String,
    pub files: Vec<HubFile>,
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl HubFile {
    /// Whether it holds weights.
    pub(super) fn is_weights(&self) -> bool {
        self.name.ends_with(WEIGHTS_END)
    }
}

impl Listing {
    /// Reads a hub's answer and chooses: the configuration, the tokenizer, the template and the safetensors at the top of the
    /// repository, smallest first. Never pickles, never code. A name that leads out of the repository makes all of it suspect.
    pub(super) fn read(answer: &[u8]) -> Result<Self, DownloadError> {
        let answer: Answer = serde_json::from_slice(answer).map_err(|error| {
            DownloadError::strange(format!("its list of files is not readable: {error}"))
        })?;
        if !is_commit(&answer.sha) {
            return Err(DownloadError::strange("it names no commit".to_owned()));
        }
        if answer.siblings.len() > FILES_MAX {
            return Err(DownloadError::refused(
                "its list",
                format!(
                    "it has {} files, more than {FILES_MAX}",
                    answer.siblings.len()
                ),
            ));
        }
        for sibling in &answer.siblings {
            let name = &sibling.rfilename;
            stays_inside(name).map_err(|reason| DownloadError::refused(name, reason))?;
        }
        let names = || {
            answer
                .siblings
                .iter()
                .map(|sibling| sibling.rfilename.as_str())
        };
        let weights = Weights::of(names());
        if !names().any(|name| weights.includes(name)) {
            return Err(no_weights(names()));
        }
        let chosen = |name: &str| SMALL_FILES.contains(&name) || weights.includes(name);
        let files = answer
            .siblings
            .iter()
            .filter(|sibling| chosen(&sibling.rfilename));
        let files = files.map(Sibling::checked).collect::<Result<Vec<_>, _>>()?;
        Self::checked(&answer.sha, files)
    }

    /// Reads what a member says of a commit, as suspiciously: the files must be those that would have been chosen.
    pub(super) fn of_member(held: &HeldFiles) -> Result<Self, DownloadError> {
        if !is_commit(&held.commit) {
            return Err(DownloadError::strange("it names no commit".to_owned()));
        }
        let weights = Weights::of(held.files.iter().map(|file| file.name.as_str()));
        let files = held.files.iter().map(|file| {
            let name = &file.name;
            if !SMALL_FILES.contains(&name.as_str()) && !weights.includes(name) {
                return Err(DownloadError::refused(name, "no model needs it"));
            }
            checked(name, file.size, Digest::from_text(&file.hash))
        });
        Self::checked(&held.commit, files.collect::<Result<_, _>>()?)
    }

    fn checked(commit: &str, mut files: Vec<HubFile>) -> Result<Self, DownloadError> {
        check_together(&files)?;
        files.sort_by(|a, b| (a.size, &a.name).cmp(&(b.size, &b.name)));
        Ok(Self {
            commit: commit.to_ascii_lowercase(),
            files,
        })
    }
}

/// Which safetensors are the model's: where some are called `model…`, others are the same weights in another layout.
struct Weights {
    prefix: &'static str,
}

impl Weights {
    fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let every = Self { prefix: "" };
        let model = Self { prefix: "model" };
        let named_so = names.into_iter().any(|name| model.includes(name));
        if named_so { model } else { every }
    }

    fn includes(&self, name: &str) -> bool {
        name.ends_with(WEIGHTS_END) && !name.contains('/') && name.starts_with(self.prefix)
    }
}

impl Sibling {
    fn checked(&self) -> Result<HubFile, DownloadError> {
        let (size, digest) = match (&self.lfs, self.size, &self.blob_id) {
            (Some(lfs), ..) => (lfs.size, Digest::sha256(&lfs.sha256)),
            (None, Some(size), Some(blob)) => (size, Digest::git_blob(blob)),
            (None, ..) => (0, None),
        };
        checked(&self.rfilename, size, digest)
    }
}

/// A file as somebody describes it, if that can be.
fn checked(name: &str, size: u64, digest: Option<Digest>) -> Result<HubFile, DownloadError> {
    plain(name).map_err(|reason| DownloadError::refused(name, reason))?;
    let Some(digest) = digest else {
        return Err(DownloadError::strange(format!(
            "it says no size or no hash of {name}"
        )));
    };
    if size > SMALL_BYTES_MAX && SMALL_FILES.contains(&name) {
        let reason = format!("it has {size} bytes, more than {SMALL_BYTES_MAX}");
        return Err(DownloadError::refused(name, reason));
    }
    let name = name.to_owned();
    Ok(HubFile { name, size, digest })
}

/// What no file shows by itself: some are missing, two would be one on a disk that ignores capitals, or their sizes are absurd.
fn check_together(files: &[HubFile]) -> Result<(), DownloadError> {
    let mut by_lower = BTreeMap::new();
    for file in files {
        if let Some(other) = by_lower.insert(file.name.to_ascii_lowercase(), &file.name) {
            let reason = format!("it differs from {other} by its capitals alone");
            return Err(DownloadError::refused(&file.name, reason));
        }
    }
    if let Some(missing) = NEEDED
        .iter()
        .find(|needed| files.iter().all(|file| file.name != **needed))
    {
        return Err(DownloadError::NotAModel {
            reason: format!("it has no {missing}"),
        });
    }
    let total = files
        .iter()
        .try_fold(0_u64, |sum, file| sum.checked_add(file.size));
    match total {
        Some(_) => Ok(()),
        None => Err(DownloadError::refused("its list", "the sizes are absurd")),
    }
}

fn no_weights<'a>(mut names: impl Iterator<Item = &'a str>) -> DownloadError {
    let is_pickle = |name: &str| PICKLES.iter().any(|end| name.ends_with(end));
    let reason = if names.any(is_pickle) {
        "its weights are Python pickles, which can run code and are never fetched"
    } else {
        "it has no *.safetensors"
    };
    DownloadError::NotAModel {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
