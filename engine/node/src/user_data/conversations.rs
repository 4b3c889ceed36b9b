//! Conversations, a file each.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::{ErrorCode, Failure};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serve::user_data::{Conversation, ConversationId, ConversationSummary};

use super::failed;
use crate::files;

/// More than these are not kept: the list would no longer be one.
const CONVERSATIONS_MAX: usize = 2000;
const EXTENSION: &str = "json";

/// The folder that holds them.
#[derive(Debug)]
pub(super) struct Conversations {
    folder: PathBuf,
}

/// A file's content.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    title: String,
    changed_ms: u64,
    content: T,
}

impl Conversations {
    /// The folder is made when something is first kept.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The latest first. A file that is no conversation is left out: it is not ours, or was cut by hand.
    pub(super) fn list(&self) -> Result<Vec<ConversationSummary>, Failure> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&self.folder, &error)),
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let summaries = paths.take(2 * CONVERSATIONS_MAX).filter_map(|path| {
            let id = id_of(&path)?;
            let text = fs::read(&path).ok()?;
            let kept: Kept<IgnoredAny> = serde_json::from_slice(&text).ok()?;
            Some(ConversationSummary {
                id: id.as_str().to_owned(),
                title: kept.title,
                changed_ms: kept.changed_ms,
            })
        });
        let mut summaries: Vec<_> = summaries.collect();
        summaries.sort_by(|a, b| b.changed_ms.cmp(&a.changed_ms).then(a.id.cmp(&b.id)));
        Ok(summaries)
    }

    pub(super) fn read(&self, id: &ConversationId) -> Result<Conversation, Failure> {
        let path = self.path(id);
        let text = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let message = format!("there is no conversation {}", id.as_str());
                Failure::new(ErrorCode::NotFound, message)
            }
            _ => failed(&path, &error),
        })?;
        let kept: Kept<Box<RawValue>> = serde_json::from_slice(&text).map_err(|error| {
            let message = format!("{} is damaged: {error}", path.display());
            Failure::new(ErrorCode::Internal, message).hint("mend the file, or delete it")
        })?;
        Ok(Conversation {
            title: kept.title,
            changed_ms: kept.changed_ms,
            content: kept.content,
        })
    }

    pub(super) fn keep(&self, id: &ConversationId, it: &Conversation) -> Result<(), Failure> {
        let path = self.path(id);
        fs::create_dir_all(&self.folder).map_err(|error| failed(&self.folder, &error))?;
        if !path.exists() && self.count()? >= CONVERSATIONS_MAX {
            let message = format!("there are {CONVERSATIONS_MAX} conversations already");
            return Err(Failure::new(ErrorCode::TooLarge, message).hint("delete some of them"));
        }
        let kept = Kept {
            title: it.title.clone(),
            changed_ms: it.changed_ms,
            content: &it.content,
        };
        let text = serde_json::to_vec(&kept)
            .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
        files::replace(&path, &text).map_err(|error| failed(&path, &error))
    }

    pub(super) fn forget(&self, id: &ConversationId) -> Result<(), Failure> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&path, &error)),
            _ => Ok(()),
        }
    }

    fn count(&self) -> Result<usize, Failure> {
        let entries = fs::read_dir(&self.folder).map_err(|error| failed(&self.folder, &error))?;
        Ok(entries.count())
    }

    fn path(&self, id: &ConversationId) -> PathBuf {
        self.folder.join(id.as_str()).with_extension(EXTENSION)
    }
}

fn id_of(path: &Path) -> Option<ConversationId> {
    let is_one = path.extension().is_some_and(|found| found == EXTENSION);
    let stem = path.file_stem().filter(|_| is_one)?;
    ConversationId::new(stem.to_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(title: &str, changed_ms: u64) -> Conversation {
        let content = RawValue::from_string(r#"{"messages": []}"#.to_owned()).unwrap();
        Conversation {
            title: title.to_owned(),
            changed_ms,
            content,
        }
    }

    #[test]
    fn they_are_kept_listed_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let all = Conversations::new(folder.path().join("new"));
        assert_eq!(all.list().unwrap(), []);
        let id = |text| ConversationId::new(text).unwrap();
        all.keep(&id("a"), &conversation("first", 1)).unwrap();
        all.keep(&id("b"), &conversation("second", 2)).unwrap();
        all.keep(&id("a"), &conversation("first again", 3)).unwrap();
        fs::write(all.folder.join("c.json"), "{\"title\": \"cut").unwrap();
        fs::write(all.folder.join("d.txt"), "not ours").unwrap();
        let titles = || -> Vec<String> {
            let listed = all.list().unwrap().into_iter();
            listed.map(|summary| summary.title).collect()
        };
        assert_eq!(titles(), ["first again", "second"]);
        let read = all.read(&id("a")).unwrap();
        assert_eq!(read.content.get(), r#"{"messages": []}"#);
        all.forget(&id("a")).unwrap();
        all.forget(&id("a")).unwrap();
        assert_eq!(titles(), ["second"]);
        let gone = all.read(&id("a")).unwrap_err();
        assert_eq!(gone.code, ErrorCode::NotFound);
        let damaged = all.read(&id("c")).unwrap_err();
        assert!(damaged.message.contains("c.json"), "{damaged}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        let all = Conversations::new("/dev/null/conversations".into());
        let id = ConversationId::new("a").unwrap();
        let failure = all.keep(&id, &conversation("", 0)).unwrap_err();
        assert!(failure.message.contains("/dev/null"), "{failure}");
    }
}
