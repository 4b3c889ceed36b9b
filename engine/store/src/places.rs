//! The folders where models are, in the order in which they count. Shared by whoever looks for models; changed by whoever
//! owns the settings. Nothing here looks into them: a folder may not be there, and be there a moment later.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// A folder with models in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it is.
    pub path: PathBuf,
    /// What may be done there.
    pub kind: PlaceKind,
}

/// What a folder of models is to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceKind {
    /// The data folder's.
    Own,
    /// Its user's, and downloads may go there.
    Writable,
    /// Its user's, or somebody else's: nothing is written or deleted there.
    ReadOnly,
    /// What Hugging Face's own tools have fetched, as they lay it out. Nothing is written or deleted there.
    HuggingFaceCache,
}

impl PlaceKind {
    /// Whether models may be put there and deleted.
    pub fn may_change(self) -> bool {
        match self {
            Self::Own | Self::Writable => true,
            Self::ReadOnly | Self::HuggingFaceCache => false,
        }
    }
}

/// All folders of a node. A clone sees what others change.
#[derive(Debug, Clone)]
pub struct Places {
    own: PathBuf,
    others: Arc<RwLock<Vec<Place>>>,
}

impl From<PathBuf> for Places {
    /// A data folder's, and no others.
    fn from(own: PathBuf) -> Self {
        let others = Arc::default();
        Self { own, others }
    }
}

impl Places {
    /// Counts these besides the data folder's, instead of those before.
    pub fn set(&self, places: Vec<Place>) {
        *self.others.write().unwrap_or_else(PoisonError::into_inner) = places;
    }

    /// The data folder's.
    pub fn own(&self) -> &PathBuf {
        &self.own
    }

    /// All of them: of a model that is in several the first counts. Those that may be changed come first, the data folder's
    /// last of them, and the others after it.
    pub fn all(&self) -> Vec<Place> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let (mut all, others): (Vec<Place>, Vec<Place>) = others
            .iter()
            .cloned()
            .partition(|place| place.kind.may_change());
        all.push(Place {
            path: self.own.clone(),
            kind: PlaceKind::Own,
        });
        all.extend(others);
        all
    }

    /// Where downloads may go, in the order in which they are filled.
    pub fn writable(&self) -> Vec<PathBuf> {
        let all = self.all().into_iter();
        let writable = all.filter(|place| place.kind.may_change());
        writable.map(|place| place.path).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_changed_comes_first_and_the_nodes_own_is_the_last_of_it() {
        let places = Places::from(PathBuf::from("/data/models"));
        let seen_elsewhere = places.clone();
        let place = |path: &str, kind| Place {
            path: path.into(),
            kind,
        };
        places.set(vec![
            place("/nfs", PlaceKind::ReadOnly),
            place("/fast", PlaceKind::Writable),
            place("/hub", PlaceKind::HuggingFaceCache),
            place("/slow", PlaceKind::Writable),
        ]);
        let all = seen_elsewhere.all();
        let paths: Vec<_> = all.iter().map(|place| place.path.to_str()).collect();
        let expected = ["/fast", "/slow", "/data/models", "/nfs", "/hub"];
        assert_eq!(paths, expected.map(Some));
        let writable = ["/fast", "/slow", "/data/models"].map(PathBuf::from);
        assert_eq!(places.writable(), writable);
    }
}
