//! Which models ran last, for menus that offer only a few: newest first, kept in a small file. A comfort: whatever goes
//! wrong with the file is logged and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::ModelId;
use cluster::ClusterView;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::files::replace;

/// A menu offers fewer, and some of these may have left the disk.
const RECENT_MAX: usize = 16;
/// A file of so many names is smaller; a larger one is not ours.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The list, and who keeps it.
pub(crate) struct RecentModels {
    list: watch::Receiver<Vec<ModelId>>,
    keeping: JoinHandle<()>,
}

impl Drop for RecentModels {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

impl RecentModels {
    /// Reads the list of earlier runs, and follows what the cluster runs from now on.
    pub(crate) fn start(path: PathBuf, views: watch::Receiver<Arc<ClusterView>>) -> Self {
        let (newest, list) = watch::channel(read(&path));
        let keeping = tokio::spawn(follow(path, views, newest));
        Self { list, keeping }
    }

    /// Follows it.
    pub(crate) fn list(&self) -> watch::Receiver<Vec<ModelId>> {
        self.list.clone()
    }
}

/// The models of earlier runs. One name on each line.
fn read(path: &Path) -> Vec<ModelId> {
    let small = std::fs::metadata(path).is_ok_and(|file| file.len() <= FILE_BYTES_MAX);
    let text = small.then(|| std::fs::read_to_string(path).ok()).flatten();
    let text = text.unwrap_or_default();
    let names = text.lines().filter(|name| !name.is_empty());
    names
        .map(|name| ModelId(name.to_owned()))
        .take(RECENT_MAX)
        .collect()
}

/// Follows what the cluster runs, until its actor is gone.
async fn follow(
    path: PathBuf,
    mut views: watch::Receiver<Arc<ClusterView>>,
    recent: watch::Sender<Vec<ModelId>>,
) {
    let mut before = BTreeSet::new();
    while views.changed().await.is_ok() {
        let now = names(&views.borrow_and_update());
        let come = now.difference(&before).cloned().collect();
        before = now;
        let newer = with_newest(&recent.borrow(), come);
        if newer != *recent.borrow() {
            recent.send_replace(newer.clone());
            write(path.clone(), &newer).await;
        }
    }
}

fn names(view: &ClusterView) -> BTreeSet<ModelId> {
    let instances = view.instances.iter();
    instances.map(|instance| instance.model.clone()).collect()
}

/// Those that just came before the others, each once, and not too many.
fn with_newest(recent: &[ModelId], come: Vec<ModelId>) -> Vec<ModelId> {
    // A name with a line break would come back as two.
    let mut all: Vec<ModelId> = come
        .into_iter()
        .filter(|model| !model.0.contains(['\n', '\r']))
        .collect();
    for model in recent {
        if !all.contains(model) {
            all.push(model.clone());
        }
    }
    all.truncate(RECENT_MAX);
    all
}

async fn write(path: PathBuf, recent: &[ModelId]) {
    let lines: Vec<&str> = recent.iter().map(|model| model.0.as_str()).collect();
    let text = lines.join("\n");
    let writing = tokio::task::spawn_blocking(move || replace(&path, text.as_bytes()));
    match writing.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "which models ran last is not kept"),
        Err(error) => tracing::warn!(%error, "which models ran last is not kept"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(names: &[&str]) -> Vec<ModelId> {
        names.iter().map(|name| ModelId((*name).into())).collect()
    }

    #[test]
    fn the_last_one_comes_first_and_each_once() {
        let recent = with_newest(&models(&["oak", "elm"]), models(&["elm"]));
        assert_eq!(recent, models(&["elm", "oak"]));
        let recent = with_newest(&recent, models(&["ash", "two\nlines"]));
        assert_eq!(recent, models(&["ash", "elm", "oak"]));
        let many: Vec<ModelId> = (0..99).map(|number| ModelId(number.to_string())).collect();
        assert_eq!(with_newest(&recent, many).len(), RECENT_MAX);
    }

    #[tokio::test]
    async fn the_file_comes_back_and_a_strange_one_is_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recent-models");
        assert_eq!(read(&path), []);
        write(path.clone(), &models(&["a b/c", "oak"])).await;
        assert_eq!(read(&path), models(&["a b/c", "oak"]));
        std::fs::write(&path, [0xff; 100]).unwrap();
        assert_eq!(read(&path), []);
        std::fs::write(&path, "x\n".repeat(1 << 16)).unwrap();
        assert_eq!(read(&path), []);
    }
}
