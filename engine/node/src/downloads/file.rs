//! The file that keeps which downloads are wanted, for the node's next start. Those that are done are not in it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use store::download::Wanted;

use super::queue::{Entry, Stage};
use crate::files::replace;

/// A file of the longest list is smaller; a larger one is not ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    #[serde(default)]
    downloads: Vec<KeptDownload>,
}

#[derive(Serialize, Deserialize)]
struct KeptDownload {
    model: String,
    revision: String,
    paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
    bytes_done: u64,
    bytes_total: u64,
}

/// What earlier runs have left, none of it running yet. What gave up is tried again.
pub(super) fn read(path: &Path) -> Vec<Entry> {
    let small = std::fs::metadata(path).is_ok_and(|file| file.len() <= FILE_BYTES_MAX);
    let text = small.then(|| std::fs::read_to_string(path).ok()).flatten();
    let kept: Kept = toml::from_str(&text.unwrap_or_default()).unwrap_or_else(|error| {
        let reason = error.message();
        tracing::warn!(path = %path.display(), reason, "the list of downloads cannot be read");
        Kept::default()
    });
    let entries = kept.downloads.into_iter().filter_map(|kept| {
        let wanted = Wanted::parse(&format!("{}@{}", kept.model, kept.revision)).ok()?;
        Some(Entry {
            wanted,
            stage: if kept.paused {
                Stage::Paused
            } else {
                Stage::Waiting
            },
            folder: kept.folder,
            bytes: (kept.bytes_done, kept.bytes_total),
            member_bytes: 0,
        })
    });
    entries.collect()
}

/// Keeps what is not done. That it cannot be kept is logged: the downloads go on without.
pub(super) async fn write(path: PathBuf, entries: &[Entry]) {
    let downloads = entries.iter().filter_map(kept).collect();
    let text = match toml::to_string(&Kept { downloads }) {
        Ok(text) => text,
        Err(error) => return tracing::warn!(%error, "the list of downloads is not kept"),
    };
    let writing = tokio::task::spawn_blocking(move || replace(&path, text.as_bytes()));
    match writing.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the list of downloads is not kept"),
        Err(error) => tracing::warn!(%error, "the list of downloads is not kept"),
    }
}

fn kept(entry: &Entry) -> Option<KeptDownload> {
    let paused = match entry.stage {
        Stage::Waiting | Stage::Running | Stage::Failed(_) => false,
        Stage::Paused => true,
        Stage::Done(_) => return None,
    };
    Some(KeptDownload {
        model: entry.wanted.repository.to_string(),
        revision: entry.wanted.revision.clone(),
        paused,
        folder: entry.folder.clone(),
        bytes_done: entry.bytes.0,
        bytes_total: entry.bytes.1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_done_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("downloads.toml");
        assert!(read(&path).is_empty());
        let entry = |model: &str, stage| Entry {
            wanted: Wanted::parse(model).unwrap(),
            stage,
            folder: model.contains("running").then(|| "/disk".into()),
            bytes: (3, 10),
            member_bytes: 0,
        };
        let entries = [
            entry("a/running@v1", Stage::Running),
            entry("a/paused", Stage::Paused),
            entry("a/done", Stage::Done("c".to_owned())),
        ];
        write(path.clone(), &entries).await;
        let expected = [
            entry("a/running@v1", Stage::Waiting),
            entry("a/paused", Stage::Paused),
        ];
        assert_eq!(read(&path), expected);
        std::fs::write(&path, "downloads = 7").unwrap();
        assert!(read(&path).is_empty());
        let hostile = "[[downloads]]\nmodel = \"../..\"\nrevision = \"main\"\npaused = false\nbytes_done = 0\nbytes_total = 0\n";
        std::fs::write(&path, hostile).unwrap();
        assert!(read(&path).is_empty());
    }
}
