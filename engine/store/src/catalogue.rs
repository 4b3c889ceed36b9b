//! The models on this machine by name: the folders under `<data>/models`, and folders named by their path.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use base::{DerivedModel, ErrorCode, Failure, Fingerprint, HubRevision, ModelId};

use crate::close_names::close_names;
use crate::derived::DerivedModels;
use crate::sprout::{self, SproutError};
use crate::{Derived, DerivedError, FolderError, ModelFolder, Places};

mod entries;
mod remove;
mod whole;

pub(crate) use entries::Entry;
use entries::{entry, has_config};
pub(crate) use remove::DELETED;
pub use remove::RemoveError;
use whole::Known;

/// A model that was found, by the name to use in requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name: a folder's name, or `organization/name`.
    pub name: ModelId,
    /// Its checked folder.
    pub folder: ModelFolder,
    /// The commit that it is a part of, if not all of it is here.
    pub part_of: Option<HubRevision>,
}

/// The model folders of one data folder, and of other folders that its user has named.
#[derive(Debug)]
pub struct Catalogue {
    places: Places,
    /// Folders of models that were opened by their path.
    opened: RwLock<Vec<PathBuf>>,
    derived: DerivedModels,
    known: Known,
}

/// Why there is no model for a name or path.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Nothing has that name.
    #[error(
        "there is no model {wanted:?} here (hint: {})",
        unknown_hint(close, names)
    )]
    Unknown {
        /// The name.
        wanted: String,
        /// Names like it.
        close: Vec<String>,
        /// The names there are.
        names: Vec<String>,
    },
    /// The path leads to no folder.
    #[error("{} is not a folder (hint: give the folder that holds config.json)", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// It is there and cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A model of that name is here, and not the same one.
    #[error(
        "the model {name} on this machine differs from the one that the cluster runs \
         (hint: copy the model's folder from the machine that opened it)"
    )]
    Different {
        /// The name.
        name: ModelId,
    },
}

/// Folders that are remembered: more than anybody opens by their paths while a node runs.
const OPENED_MAX: usize = 1000;
/// Names an error lists.
const NAMES_SHOWN: usize = 10;

impl Catalogue {
    /// The catalogue of a data folder. Makes `<data>/models`, lays out the embedded model if it is not there, and takes away what
    /// removals left that were cut short.
    pub fn open(data: &Path) -> Result<Self, SproutError> {
        let models = data.join("models");
        std::fs::create_dir_all(&models).map_err(|error| SproutError {
            path: models.clone(),
            error,
        })?;
        sprout::lay_out(&models)?;
        remove::end_removals(&models);
        Ok(Self {
            places: Places::from(models),
            opened: RwLock::default(),
            derived: DerivedModels::new(data.join("derived-models")),
            known: Known::default(),
        })
    }

    /// Where models are looked for. Whoever changes the folders besides the data folder's changes them here, too.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The model of a name, whatever its capitals; of a derived model's name the one that it runs. For requests: a path
    /// is never followed.
    pub fn by_name(&self, name: &str) -> Result<Model, ResolveError> {
        let entries = self.entries();
        let derived = || entry(&entries, &self.derived.get(name)?.model.base);
        match entry(&entries, name).or_else(derived) {
            Some(found) => Ok(found.model()?),
            None => Err(unknown(name, &entries)),
        }
    }

    /// The derived model of a name, if that is what the name means.
    pub fn derived(&self, name: &str) -> Option<Derived> {
        let found = self.derived.get(name)?;
        entry(&self.entries(), name).is_none().then_some(found)
    }

    /// All derived models, by name.
    pub fn list_derived(&self) -> Vec<Derived> {
        let entries = self.entries();
        let mut all = self.derived.list();
        all.retain(|derived| entry(&entries, &derived.name).is_none());
        all
    }

    /// Keeps a derived model in the place of one of the same name.
    pub fn derive(&self, name: &str, model: &DerivedModel) -> Result<(), DerivedError> {
        if let Some(Entry { name, .. }) = entry(&self.entries(), name) {
            return Err(DerivedError::Taken { name: name.clone() });
        }
        self.derived.keep(name, model)
    }

    /// The model of a name or of a folder's path. For whoever runs the node: any path is followed.
    pub fn resolve(&self, name_or_path: &str) -> Result<Model, ResolveError> {
        match self.by_name(name_or_path) {
            Err(ResolveError::Unknown { .. }) if is_path(name_or_path) => {
                Self::at(Path::new(name_or_path))
            }
            found => found,
        }
    }

    /// Knows a model by its name from now on, if it is one that only its path led to.
    pub fn remember(&self, model: &Model) {
        let known = self.entries();
        if entry(&known, &model.name.0).is_some() {
            return;
        }
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.len() < OPENED_MAX {
            opened.push(model.folder.path.clone());
        }
    }

    /// The model that another node placed: at the same path, or here under the same name, and the same one.
    pub fn locate(
        &self,
        name: &ModelId,
        path: &Path,
        fingerprint: Fingerprint,
    ) -> Result<ModelFolder, ResolveError> {
        if let Ok(folder) = ModelFolder::check(path)
            && folder.fingerprint == fingerprint
        {
            return Ok(folder);
        }
        let model = self.by_name(&name.0)?;
        if model.folder.fingerprint == fingerprint && model.part_of.is_none() {
            return Ok(model.folder);
        }
        Err(ResolveError::Different { name: model.name })
    }

    /// All models that can be used, by name, and whether the files of each may be deleted.
    pub fn list(&self) -> Vec<(Model, bool)> {
        let usable = self.entries().into_iter().filter_map(|entry| {
            let may_change = entry
                .place
                .as_ref()
                .is_some_and(|place| place.kind.may_change());
            Some((
                entry.model().ok()?,
                may_change && entry.name != sprout::SPROUT,
            ))
        });
        usable.collect()
    }

    /// The model in a folder anywhere; its name is the folder's.
    fn at(path: &Path) -> Result<Model, ResolveError> {
        let not_a_folder = || ResolveError::NotAFolder {
            path: path.to_owned(),
        };
        // Not `canonicalize`: where a link has the model's name, its target may be called anything.
        let path = std::path::absolute(path).map_err(|_| not_a_folder())?;
        let name = path
            .file_name()
            .filter(|_| path.is_dir())
            .ok_or_else(not_a_folder)?;
        Ok(Model {
            name: ModelId(name.to_string_lossy().into_owned()),
            folder: ModelFolder::check(&path)?,
            part_of: None,
        })
    }

    /// What is in all places, sorted by name. Of two models of one name that of the first place counts, after those the one that
    /// was opened by its path, and last one that is here in part.
    fn entries(&self) -> Vec<Entry> {
        let places = self.places.all();
        let mut entries: Vec<Entry> = places.iter().flat_map(Entry::all_in).collect();
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let opened = opened.iter().filter(|path| has_config(path));
        entries.extend(opened.filter_map(|path| {
            Some(Entry {
                name: path.file_name()?.to_string_lossy().into_owned(),
                path: path.clone(),
                place: None,
                part: None,
            })
        }));
        let order = |entry: &Entry| (entry.name.clone(), entry.part.is_some());
        entries.sort_by_cached_key(order);
        entries.dedup_by(|later, first| later.name == first.name);
        entries
    }
}

/// Whether somebody who writes this means a path: it exists, or it looks like nothing else.
fn is_path(text: &str) -> bool {
    let path = Path::new(text);
    path.is_absolute()
        || text.starts_with("./")
        || text.starts_with("../")
        || text == "."
        || text == ".."
        || path.is_dir()
}

fn unknown(wanted: &str, entries: &[Entry]) -> ResolveError {
    let names = || entries.iter().map(|entry| entry.name.as_str());
    ResolveError::Unknown {
        wanted: wanted.chars().take(200).collect(),
        close: close_names(wanted, names())
            .into_iter()
            .map(str::to_owned)
            .collect(),
        names: names().map(str::to_owned).collect(),
    }
}

fn unknown_hint(close: &[String], names: &[String]) -> String {
    if let [first, ..] = close {
        return format!("did you mean {first:?}?");
    }
    let shown = names
        .iter()
        .take(NAMES_SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let more = names.len().saturating_sub(NAMES_SHOWN);
    match more {
        0 => format!("these are: {shown}; or give the path of a model's folder"),
        _ => format!("these are: {shown} and {more} more; or give the path of a model's folder"),
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Folder(error) => error.into(),
            ResolveError::Different { .. } => failure(ErrorCode::ModelDamaged, &error),
            ResolveError::Unknown { .. } | ResolveError::NotAFolder { .. } => {
                failure(ErrorCode::ModelNotFound, &error)
            }
        }
    }
}

/// An error's words as a failure: its `(hint: …)` becomes the hint.
pub(crate) fn failure(code: ErrorCode, error: &dyn std::error::Error) -> Failure {
    let text = error.to_string();
    match text.split_once(" (hint: ") {
        Some((message, hint)) => {
            Failure::new(code, message).hint(hint.strip_suffix(')').unwrap_or(hint))
        }
        None => Failure::new(code, text),
    }
}

#[cfg(test)]
mod tests;
