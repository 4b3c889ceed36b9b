//! The outside of safetensors files: which files a folder's weights are in, their headers, and whether they are complete.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::folder::{FolderError, read_json_capped};

/// The format's own cap on a header.
const HEADER_BYTES_MAX: u64 = 100_000_000;
/// Twice those of the largest known model, all in one file.
const TENSORS_MAX: usize = 500_000;
/// Five times the files of the largest known model.
const FILES_MAX: usize = 2_000;
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// One safetensors file: its name in the folder, its length, and its header as it stands.
#[derive(Debug)]
pub(crate) struct WeightFile {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) header: Vec<u8>,
}

/// Which file each tensor is in.
#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    pub(crate) weight_map: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Tensor {
    data_offsets: (u64, u64),
}

/// The weight files of a folder, each with a checked header, by name.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<WeightFile>, FolderError> {
    let names = names(folder)?;
    if names.is_empty() {
        return Err(FolderError::Missing {
            folder: folder.to_owned(),
            file: "*.safetensors",
        });
    }
    if names.len() > FILES_MAX {
        return Err(FolderError::damaged(
            folder,
            INDEX,
            format!("it names {} files, more than {FILES_MAX}", names.len()),
        ));
    }
    names.into_iter().map(|name| read(folder, name)).collect()
}

/// The index of a folder that has one.
pub(crate) fn index(folder: &Path) -> Result<Option<Index>, FolderError> {
    read_json_capped(folder, INDEX)
}

/// The files that the index names, or all there are.
fn names(folder: &Path) -> Result<BTreeSet<String>, FolderError> {
    if let Some(index) = index(folder)? {
        let names: BTreeSet<String> = index.weight_map.into_values().collect();
        return match names.iter().find(|name| !is_inside(name)) {
            None => Ok(names),
            Some(name) => Err(FolderError::damaged(
                folder,
                INDEX,
                format!("it points outside the folder: {name:?}"),
            )),
        };
    }
    let entries = std::fs::read_dir(folder).map_err(|error| FolderError::read(folder, error))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| is_inside(name)).collect())
}

/// A plain relative path to a safetensors file: nothing that leads out of the folder.
fn is_inside(name: &str) -> bool {
    let path = Path::new(name);
    path.extension()
        .is_some_and(|extension| extension == "safetensors")
        && !name.starts_with('.')
        && !name.contains(['\\', '\0'])
        && path
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

fn read(folder: &Path, name: String) -> Result<WeightFile, FolderError> {
    let path = folder.join(&name);
    let damaged = |reason: String| FolderError::damaged(folder, &name, reason);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(damaged("it is missing".to_owned()));
        }
        Err(error) => return Err(FolderError::read(&path, error)),
    };
    let bytes = file
        .metadata()
        .map_err(|error| FolderError::read(&path, error))?
        .len();
    let mut length = [0; 8];
    file.read_exact(&mut length)
        .map_err(|_| damaged("it is too short for a header".to_owned()))?;
    let length = u64::from_le_bytes(length);
    if length > HEADER_BYTES_MAX || length > bytes.saturating_sub(8) {
        return Err(damaged(format!(
            "its header claims {length} bytes and the file has {bytes}"
        )));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header)
        .map_err(|error| FolderError::read(&path, error))?;
    let data = data_bytes(&header).map_err(damaged)?;
    if data != bytes - 8 - length {
        return Err(damaged(format!(
            "its tensors take {data} bytes and {} are there",
            bytes - 8 - length
        )));
    }
    Ok(WeightFile {
        name,
        bytes,
        header,
    })
}

/// How many bytes of data the header's tensors take: each lies right behind the one before it, as the format wants it.
pub(crate) fn data_bytes(header: &[u8]) -> Result<u64, String> {
    let Ranges(mut ranges) = serde_json::from_slice(header)
        .map_err(|error| format!("its header does not describe tensors: {error}"))?;
    ranges.sort_unstable();
    let mut end = 0;
    for (from, to) in ranges {
        if from != end || from > to {
            return Err(format!(
                "a tensor is at its bytes {from} to {to}, where {end} is the first that no other has"
            ));
        }
        end = to;
    }
    Ok(end)
}

/// Where the tensors of a header are. Nothing else of it is kept: it may be long.
struct Ranges(Vec<(u64, u64)>);

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(header: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Ranges;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by their names")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Ranges, M::Error> {
                let mut ranges = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if ranges.len() == TENSORS_MAX {
                        let reason = format!("there are more than {TENSORS_MAX}");
                        return Err(Error::custom(reason));
                    }
                    ranges.push(map.next_value::<Tensor>()?.data_offsets);
                }
                Ok(Ranges(ranges))
            }
        }
        header.deserialize_map(Entries)
    }
}
