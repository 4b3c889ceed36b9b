//! Which models lie whole on the disks, asked again and again: what has not changed since is not read again.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use base::Fingerprint;

use super::Catalogue;

/// More files than any model has; a folder of something else is not looked through to its end.
const FILES_MAX: usize = 10_000;

/// The whole models that were found the last time, by their folders.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<PathBuf, Found>>);

/// A folder as it was, and the model in it.
#[derive(Debug, Clone)]
struct Found {
    look: Look,
    model: Fingerprint,
}

/// What the system says of a folder's files: their names, sizes, and when they changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look(Vec<(OsString, Option<(u64, SystemTime)>)>);

impl Catalogue {
    /// The models that lie whole on the disks. The first time this reads the headers of all of them, later only those
    /// of folders whose files have other sizes or times than before, and of what was not whole then.
    pub fn whole(&self) -> BTreeSet<Fingerprint> {
        let before = self.known.take();
        let found = self.entries().into_iter().filter_map(|entry| {
            let look = Look::at(&entry.path);
            let known = before.get(&entry.path).filter(|found| found.look == look);
            let model = match known {
                Some(found) => found.model,
                None => entry.model().ok()?.folder.fingerprint,
            };
            Some((entry.path, Found { look, model }))
        });
        let now: HashMap<PathBuf, Found> = found.collect();
        let whole = now.values().map(|found| found.model).collect();
        self.known.keep(now);
        whole
    }
}

impl Known {
    /// Leaves nothing: who asks at the same time reads everything for itself.
    fn take(&self) -> HashMap<PathBuf, Found> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, found: HashMap<PathBuf, Found>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}

impl Look {
    fn at(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.take(FILES_MAX).map(|entry| {
            // Of what a link leads to, as in the cache of Hugging Face's tools.
            let data = std::fs::metadata(entry.path()).ok();
            let of = data.and_then(|data| Some((data.len(), data.modified().ok()?)));
            (entry.file_name(), of)
        });
        let mut files: Vec<_> = files.collect();
        files.sort_unstable();
        Self(files)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_lies_whole_is_told_and_what_has_changed_is_read_again() {
        let data = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(data.path()).unwrap();
        let sprout = catalogue.by_name("sprout").unwrap().folder;
        assert_eq!(catalogue.whole(), BTreeSet::from([sprout.fingerprint]));

        // A copy that is another model, and one that is not all there.
        let copy = data.path().join("models/trees/sprig");
        let part = data.path().join("models/trees/twig");
        for folder in [&copy, &part] {
            fs::create_dir_all(folder).unwrap();
            for file in fs::read_dir(&sprout.path).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), folder.join(file.file_name())).unwrap();
            }
        }
        let config = fs::read_to_string(copy.join("config.json")).unwrap();
        fs::write(copy.join("config.json"), config.clone() + "\n").unwrap();
        fs::remove_file(part.join("tokenizer.json")).unwrap();
        let sprig = catalogue.by_name("trees/sprig").unwrap().folder;
        let both = BTreeSet::from([sprout.fingerprint, sprig.fingerprint]);
        assert_eq!(catalogue.whole(), both);
        assert_eq!(catalogue.whole(), both);

        // As long as before, so only the time tells.
        fs::write(copy.join("config.json"), config.clone() + " ").unwrap();
        let other = catalogue.by_name("trees/sprig").unwrap().folder;
        assert_ne!(other.fingerprint, sprig.fingerprint);
        let both = BTreeSet::from([sprout.fingerprint, other.fingerprint]);
        assert_eq!(catalogue.whole(), both);

        fs::remove_dir_all(&copy).unwrap();
        assert_eq!(catalogue.whole(), BTreeSet::from([sprout.fingerprint]));
    }

    #[test]
    fn folders_that_have_not_changed_are_not_read() {
        let data = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(data.path()).unwrap();
        let whole = catalogue.whole();
        let tokenizer = data.path().join("models/sprout/tokenizer.json");
        let modified = fs::metadata(&tokenizer).unwrap().modified().unwrap();
        let bytes = fs::read(&tokenizer).unwrap();
        // Other bytes with the same length and time: whoever reads them finds no JSON.
        fs::write(&tokenizer, vec![b'x'; bytes.len()]).unwrap();
        let file = fs::File::options().write(true).open(&tokenizer).unwrap();
        file.set_modified(modified).unwrap();
        assert!(catalogue.by_name("sprout").is_err());
        assert_eq!(catalogue.whole(), whole);
    }
}
