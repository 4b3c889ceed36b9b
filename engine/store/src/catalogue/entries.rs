//! What is in the places where models are: names and folders, not checked yet.

use std::path::{Path, PathBuf};

use base::ModelId;

use super::Model;
use crate::download::{HeldPart, ORIGIN, parts_in};
use crate::fingerprint::of_commit;
use crate::sprout::SPROUT;
use crate::{FolderError, ModelFolder, Place, PlaceKind, hf_cache};

/// More entries than anybody's models: a folder of something else is not searched to its end.
const ENTRIES_MAX: usize = 10_000;

/// Something that has the name and the configuration of a model.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `name`, or `organization/name`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Where it was found; `None` if only its path led to it.
    pub(super) place: Option<Place>,
    /// What is here, if that is not all of it.
    pub(super) part: Option<HeldPart>,
}

impl Entry {
    /// The models in a place, and in its folders. The name of the embedded one is the data folder's alone.
    pub(crate) fn all_in(place: &Place) -> Vec<Self> {
        let found = match place.kind {
            PlaceKind::Own | PlaceKind::Writable | PlaceKind::ReadOnly => {
                models_in(&place.path, has_config)
            }
            PlaceKind::HuggingFaceCache => {
                let mut snapshots = hf_cache::entries(&place.path);
                snapshots.retain(|(_, path)| has_config(path));
                snapshots
            }
        };
        let is_free = |name: &str| name != SPROUT || place.kind == PlaceKind::Own;
        let free = found.into_iter().filter(|(name, _)| is_free(name));
        let whole = free.map(|found| Self::of(found, place));
        let parts = parts_in(&place.path).into_iter().map(|part| Self {
            part: Some(part.clone()),
            ..Self::of((part.origin.repository, part.folder), place)
        });
        whole.chain(parts).collect()
    }

    /// Besides those, in a place where models lie in folders of their names, what lost its configuration.
    pub(crate) fn all_like(place: &Place) -> Vec<Self> {
        let found = models_in(&place.path, |path| has_config(path) || has_weights(path));
        found
            .into_iter()
            .map(|found| Self::of(found, place))
            .collect()
    }

    fn of((name, path): (String, PathBuf), place: &Place) -> Self {
        let place = Some(place.clone());
        Self {
            name,
            path,
            place,
            part: None,
        }
    }

    /// The model, if it is whole, or a part that can be used.
    pub(crate) fn model(&self) -> Result<Model, FolderError> {
        if let Some(part) = &self.part {
            return Ok(Model {
                name: ModelId(self.name.clone()),
                folder: ModelFolder {
                    path: part.folder.clone(),
                    fingerprint: of_commit(&part.origin),
                    weights_bytes: part.weights_bytes,
                },
                part_of: Some(part.origin.clone()),
            });
        }
        if let Some(Place {
            path,
            kind: PlaceKind::HuggingFaceCache,
        }) = &self.place
        {
            hf_cache::check(path, &self.path)?;
        }
        Ok(Model {
            name: ModelId(self.name.clone()),
            folder: ModelFolder::check(&self.path)?,
            part_of: None,
        })
    }
}

/// The entry of a name: as it is written, else whatever its capitals.
pub(super) fn entry<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    let exact = entries.iter().find(|entry| entry.name == name);
    let lower = name.to_lowercase();
    exact.or_else(|| {
        entries
            .iter()
            .find(|entry| entry.name.to_lowercase() == lower)
    })
}

fn models_in(folder: &Path, is_model: impl Fn(&Path) -> bool) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for (name, path) in folders(folder) {
        if is_model(&path) {
            found.push((name, path));
            continue;
        }
        let inner = folders(&path).into_iter();
        let inner = inner.filter(|(_, path)| is_model(path));
        found.extend(inner.map(|(inner, path)| (format!("{name}/{inner}"), path)));
    }
    found
}

pub(super) fn has_config(path: &Path) -> bool {
    path.join("config.json").is_file()
}

/// Whether there are weights, or were when the folder was downloaded.
fn has_weights(path: &Path) -> bool {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names = entries.take(ENTRIES_MAX).map(|entry| entry.file_name());
    names.any(|name| {
        name == ORIGIN
            || Path::new(&name)
                .extension()
                .is_some_and(|end| end == "safetensors")
    })
}

/// The visible folders in a folder, by name.
fn folders(path: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    let named = entries.take(ENTRIES_MAX).filter_map(|entry| {
        let entry = entry.ok()?;
        Some((entry.file_name().into_string().ok()?, entry.path()))
    });
    let mut folders: Vec<_> = named
        .filter(|(name, path)| !name.starts_with('.') && path.is_dir())
        .collect();
    folders.sort_unstable();
    folders
}
