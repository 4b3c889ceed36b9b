//! What models take of the disks, place by place: those that can be used, downloads that have begun, and what nobody needs
//! any more. Nothing is changed here but by [`Catalogue::clean`], and by that only what [`Fate`] says may go.

mod leftovers;
mod room;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use base::Fingerprint;

use crate::catalogue::Entry;
use crate::download::{Left, free_bytes};
use crate::{Catalogue, Place, PlaceKind};
pub use leftovers::{Fate, Leftover, Remains};
pub use room::{Candidate, Room, make_room};

/// What there is in all places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Place by place, in the order in which they count. One that is there under two paths is there once.
    pub places: Vec<PlaceUsage>,
    /// Models that can be used.
    pub models: Vec<HeldModel>,
    /// Downloads that somebody goes on with.
    pub begun: Vec<Begun>,
    /// What nobody needs any more.
    pub leftovers: Vec<Leftover>,
}

/// A folder of models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceUsage {
    /// Where it is.
    pub path: PathBuf,
    /// What may be done there.
    pub kind: PlaceKind,
    /// Whether it is there now: its disk may not be connected.
    pub is_there: bool,
    /// Bytes that its disk has free, if that is known.
    pub free_bytes: Option<u64>,
}

/// A model in one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldModel {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// The folder of models in which it lies.
    pub place: PathBuf,
    /// Of all its files.
    pub bytes: u64,
    /// What they are.
    pub fingerprint: Fingerprint,
    /// When one of them was last changed, if the system says.
    pub changed: Option<SystemTime>,
    /// Whether its files may be deleted. Of a model in several places only those that its name means.
    pub may_delete: bool,
}

/// A download that is not whole yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// `owner/name`.
    pub repository: String,
    /// The folder of models to which it goes.
    pub place: PathBuf,
    /// On the disk, also what is not verified yet.
    pub bytes: u64,
}

impl Catalogue {
    /// Looks at everything; reads the headers of all models. `listed` are the downloads, `owner/name`, that this node goes on
    /// with.
    pub fn usage(&self, listed: &BTreeSet<String>, now: SystemTime) -> Usage {
        let mut usage = Usage::default();
        let mut seen = BTreeSet::new();
        for place in self.places().all() {
            let real = place.path.canonicalize();
            // Most computers have no such cache, and nobody asked for one.
            let is_idle = real.is_err() && place.kind == PlaceKind::HuggingFaceCache;
            if is_idle || real.is_ok_and(|real| !seen.insert(real)) {
                continue;
            }
            self.add_models(&mut usage, &place);
            if place.kind.may_change() {
                leftovers::add(&mut usage, &place, listed, now);
            }
            usage.places.push(PlaceUsage {
                is_there: place.path.is_dir(),
                free_bytes: free_bytes(&place.path).ok(),
                path: place.path,
                kind: place.kind,
            });
        }
        usage
    }

    fn add_models(&self, usage: &mut Usage, place: &Place) {
        for entry in Entry::all_in(place) {
            let Ok(model) = entry.model() else {
                continue;
            };
            let is_hidden = usage.models.iter().any(|other| other.name == entry.name);
            let Left { bytes, changed } = Left::in_folder(&entry.path);
            usage.models.push(HeldModel {
                bytes,
                changed,
                fingerprint: model.folder.fingerprint,
                may_delete: !is_hidden && self.may_remove(&entry.name).is_ok(),
                place: place.path.clone(),
                name: entry.name,
                path: entry.path,
            });
        }
    }

    /// Removes those of the leftovers at `paths` that may go by now; what was removed, and why something else was not.
    pub fn clean(
        &self,
        paths: &BTreeSet<PathBuf>,
        listed: &BTreeSet<String>,
        now: SystemTime,
    ) -> Vec<(Leftover, Result<(), String>)> {
        let leftovers = self.usage(listed, now).leftovers.into_iter();
        let chosen = leftovers.filter(|one| one.fate == Fate::Goes && paths.contains(&one.path));
        let removed = chosen.map(|leftover| {
            let outcome = leftover.remove();
            (leftover, outcome)
        });
        removed.collect()
    }
}

#[cfg(test)]
mod tests;
