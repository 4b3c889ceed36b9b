//! Which models ran last, and when: newest first, kept in a small file. For menus that offer only a few, and for whoever
//! needs room on a disk. A comfort: whatever goes wrong with the file is logged and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base::ModelId;
use cluster::ClusterView;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::files::replace;

/// A menu offers fewer, and some of these may have left the disk.
const RECENT_MAX: usize = 16;
/// More models than a disk has.
const KEPT_MAX: usize = 512;
/// A file of so many names is smaller; a larger one is not ours.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// While a model stays open it is not noted more often that it is.
const NOTED_EVERY_SECONDS: u64 = 3600;

/// A model that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) model: ModelId,
    /// When it was last seen open, since 1970; 0 if that is not known.
    pub(crate) unix_seconds: u64,
}

/// The list, and who keeps it.
pub(crate) struct RecentModels {
    list: watch::Receiver<Vec<ModelId>>,
    used: watch::Receiver<Vec<Used>>,
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
        let kept = read(&path);
        let (newest, list) = watch::channel(newest(&kept));
        let (all, used) = watch::channel(kept);
        let keeping = tokio::spawn(follow(path, views, newest, all));
        Self {
            list,
            used,
            keeping,
        }
    }

    /// Follows the newest of it.
    pub(crate) fn list(&self) -> watch::Receiver<Vec<ModelId>> {
        self.list.clone()
    }

    /// Follows all of it.
    pub(crate) fn used(&self) -> watch::Receiver<Vec<Used>> {
        self.used.clone()
    }
}

/// The models of earlier runs. On each line a name, and after a tab when it was; files of earlier versions have names alone.
fn read(path: &Path) -> Vec<Used> {
    let small = std::fs::metadata(path).is_ok_and(|file| file.len() <= FILE_BYTES_MAX);
    let text = small.then(|| std::fs::read_to_string(path).ok()).flatten();
    let text = text.unwrap_or_default();
    let lines = text.lines().filter(|line| !line.is_empty());
    let used = lines.map(|line| {
        let (name, time) = line.rsplit_once('\t').unwrap_or((line, ""));
        Used {
            model: ModelId(name.to_owned()),
            unix_seconds: time.parse().unwrap_or(0),
        }
    });
    used.take(KEPT_MAX).collect()
}

/// Follows what the cluster runs, until its actor is gone.
async fn follow(
    path: PathBuf,
    mut views: watch::Receiver<Arc<ClusterView>>,
    list: watch::Sender<Vec<ModelId>>,
    used: watch::Sender<Vec<Used>>,
) {
    let mut before = BTreeSet::new();
    while views.changed().await.is_ok() {
        let now = names(&views.borrow_and_update());
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let noted = noted(
            &used.borrow(),
            &before,
            &now,
            since.unwrap_or_default().as_secs(),
        );
        before = now;
        if noted != *used.borrow() {
            list.send_replace(newest(&noted));
            used.send_replace(noted.clone());
            write(path.clone(), &noted).await;
        }
    }
}

fn names(view: &ClusterView) -> BTreeSet<ModelId> {
    let instances = view.instances.iter();
    instances.map(|instance| instance.model.clone()).collect()
}

fn newest(used: &[Used]) -> Vec<ModelId> {
    let models = used.iter().map(|used| used.model.clone());
    models.take(RECENT_MAX).collect()
}

/// The list after a change of what is open. Those that just came are before the others, each once, and not too many; the time is
/// noted of those that came or went, and of others now and then.
fn noted(
    used: &[Used],
    before: &BTreeSet<ModelId>,
    now: &BTreeSet<ModelId>,
    unix_seconds: u64,
) -> Vec<Used> {
    // A name with such characters would come back as another.
    let come = now
        .difference(before)
        .filter(|model| !model.0.contains(['\n', '\r', '\t']));
    let mut all: Vec<Used> = come
        .map(|model| Used {
            model: model.clone(),
            unix_seconds,
        })
        .collect();
    for old in used {
        if all.iter().any(|new| new.model == old.model) {
            continue;
        }
        let is_open = now.contains(&old.model);
        let went = before.contains(&old.model) && !is_open;
        let is_due = is_open && unix_seconds >= old.unix_seconds + NOTED_EVERY_SECONDS;
        let mut kept = old.clone();
        if went || is_due {
            kept.unix_seconds = unix_seconds;
        }
        all.push(kept);
    }
    all.truncate(KEPT_MAX);
    all
}

async fn write(path: PathBuf, used: &[Used]) {
    let lines = used
        .iter()
        .map(|used| format!("{}\t{}\n", used.model, used.unix_seconds));
    let text: String = lines.collect();
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

    fn used(all: &[(&str, u64)]) -> Vec<Used> {
        let used = all.iter().map(|&(name, unix_seconds)| Used {
            model: ModelId(name.into()),
            unix_seconds,
        });
        used.collect()
    }

    fn open(names: &[&str]) -> BTreeSet<ModelId> {
        names.iter().map(|name| ModelId((*name).into())).collect()
    }

    #[test]
    fn the_last_one_comes_first_and_each_once() {
        let none = open(&[]);
        let one = noted(&used(&[("oak", 1), ("elm", 0)]), &none, &open(&["elm"]), 5);
        assert_eq!(one, used(&[("elm", 5), ("oak", 1)]));
        let two = noted(&one, &none, &open(&["ash", "two\nlines", "a\ttab"]), 6);
        assert_eq!(two, used(&[("ash", 6), ("elm", 5), ("oak", 1)]));
        let names: Vec<String> = (0..=KEPT_MAX).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let many = noted(&two, &none, &open(&names), 7);
        assert_eq!((many.len(), newest(&many).len()), (KEPT_MAX, RECENT_MAX));
    }

    #[test]
    fn it_is_noted_when_a_model_was_last_open() {
        let all = used(&[("oak", 100), ("elm", 100)]);
        let (both, oak) = (open(&["oak", "elm"]), open(&["oak"]));
        assert_eq!(
            noted(&all, &both, &both, 3699),
            all,
            "not each time that anything changes"
        );
        assert_eq!(
            noted(&all, &both, &both, 3700),
            used(&[("oak", 3700), ("elm", 3700)])
        );
        assert_eq!(
            noted(&all, &both, &oak, 200),
            used(&[("oak", 100), ("elm", 200)])
        );
        assert_eq!(noted(&all, &open(&[]), &open(&[]), 9999), all);
    }

    #[tokio::test]
    async fn the_file_comes_back_and_a_strange_one_is_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recent-models");
        assert_eq!(read(&path), []);
        let all = used(&[("a b/c", 7), ("oak", 0)]);
        write(path.clone(), &all).await;
        assert_eq!(read(&path), all);
        std::fs::write(&path, "a b/c\noak").unwrap();
        assert_eq!(
            read(&path),
            used(&[("a b/c", 0), ("oak", 0)]),
            "an earlier version's"
        );
        std::fs::write(&path, [0xff; 100]).unwrap();
        assert_eq!(read(&path), []);
        std::fs::write(&path, "x\n".repeat(1 << 18)).unwrap();
        assert_eq!(read(&path), []);
    }
}
