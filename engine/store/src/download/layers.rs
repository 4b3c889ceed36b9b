//! Some of a model's layers: all that is small, and of the weights the files that these layers are in. Of the others the headers
//! alone, so that whoever loads the layers sees what the whole model is.
//!
//! A tensor belongs to the layer whose number follows `layers` in its name (`model.layers.12.mlp.up_proj.weight`), as in
//! every family that is known here. One that names no layer, of the embeddings or the head, is needed with any layers.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::HubRevision;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Map, Value};

use super::error::DownloadError;
use super::fetch::{Fetch, patiently};
use super::listing::{HubFile, Listing};
use super::name::{Repository, Wanted};
use super::partial::Partial;
use super::retry::Problem;
use super::shelf::Shelf;
use super::unfinished::Unfinished;
use super::{blocking, headers};
use crate::weights::Index;
use crate::{Places, weights};

/// What comes before a layer's number in the name of a tensor.
const LAYERS: &str = "layers";
/// Bytes that say how long a header is.
const LENGTH_BYTES: u64 = 8;

/// Some of a model, with the headers of the rest: what it is can be told, and what it says be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPart {
    /// Where its files lie.
    pub folder: PathBuf,
    /// The commit they are of.
    pub origin: HubRevision,
    /// Bytes of all weights, those too that are not here.
    pub weights_bytes: u64,
}

/// What is here of a commit, if that is more than a download that goes on. Blocks.
pub fn held_part(places: &Places, wanted: &Wanted) -> Option<HeldPart> {
    let is_right = |shelf: &Shelf| shelf.listing.commit == wanted.revision;
    let found = find(shelves(places, wanted).filter(is_right), has_header);
    found.map(|shelf| part(&wanted.repository, shelf))
}

/// All models of which a part is in a folder of models, and not the whole.
pub(crate) fn parts_in(models: &Path) -> Vec<HeldPart> {
    let begun = Unfinished::all_in(models).into_iter();
    let parts = begun.filter_map(|begun| {
        let repository = Wanted::parse(&begun.repository).ok()?.repository;
        let fetched = Shelf::all(models, &repository).into_iter();
        let found = find(fetched.filter(Shelf::is_staged), has_header)?;
        Some(part(&repository, found))
    });
    parts.collect()
}

fn part(repository: &Repository, shelf: Shelf) -> HeldPart {
    let weights = shelf.listing.files.iter().filter(|file| file.is_weights());
    HeldPart {
        folder: shelf.folder().to_owned(),
        weights_bytes: weights.map(|file| file.size).sum(),
        origin: HubRevision {
            repository: repository.to_string(),
            revision: shelf.listing.commit,
        },
    }
}

/// Where the files lie that some layers of a commit need, if all of them are here. Blocks.
pub fn held_layers(places: &Places, wanted: &Wanted, layers: &Range<u32>) -> Option<PathBuf> {
    let is_right = |shelf: &Shelf| shelf.listing.commit == wanted.revision;
    let is_left_out = |shelf: &Shelf, file: &HubFile| is_left_out(shelf, file, layers);
    let found = find(shelves(places, wanted).filter(is_right), is_left_out);
    found.map(|shelf| shelf.folder().to_owned())
}

fn shelves(places: &Places, wanted: &Wanted) -> impl Iterator<Item = Shelf> {
    let places = places.all().into_iter();
    places.flat_map(|place| Shelf::all(&place.path, &wanted.repository))
}

/// The first shelf where all files are verified, but weights that need not be there.
fn find(
    mut shelves: impl Iterator<Item = Shelf>,
    need_not_be: impl Fn(&Shelf, &HubFile) -> bool,
) -> Option<Shelf> {
    shelves.find(|shelf| {
        let is_fine = |file: &HubFile| {
            shelf.verified(file).is_some() || file.is_weights() && need_not_be(shelf, file)
        };
        shelf.listing.files.iter().all(is_fine)
    })
}

fn has_header(shelf: &Shelf, file: &HubFile) -> bool {
    shelf.header(file).is_some()
}

/// Whether there is the header of a file, and it says that the layers do not need the rest.
fn is_left_out(shelf: &Shelf, file: &HubFile, layers: &Range<u32>) -> bool {
    let header = shelf.header(file).and_then(|path| read(&path).ok());
    header.is_some_and(|header| !needs(&header, layers))
}

impl Fetch<'_> {
    /// The files of a listing that some layers need, once all that are small are here, and the headers of the others too.
    pub(super) async fn of_layers(
        &self,
        listing: &Listing,
        layers: &Range<u32>,
    ) -> Result<Vec<HubFile>, DownloadError> {
        let is_small = |file: &&HubFile| !file.is_weights();
        let small: Vec<HubFile> = listing.files.iter().filter(is_small).cloned().collect();
        self.take_over(listing, &small).await?;
        let headers = async {
            self.files(&listing.commit, &small).await?;
            self.weights_of(listing, layers).await
        };
        let weights = self.meanwhile_looking(&listing.commit, headers).await?;
        Ok(small.into_iter().chain(weights).collect())
    }

    /// The weights that some layers need. Of the others the headers are kept.
    async fn weights_of(
        &self,
        listing: &Listing,
        layers: &Range<u32>,
    ) -> Result<Vec<HubFile>, DownloadError> {
        let folder = self.staging.files().to_owned();
        let index = Arc::new(blocking(move || Ok(weights::index(&folder)?)).await?);
        let mut asked = Vec::new();
        // Not `map`: what it made could not be handed to another thread.
        for file in listing.files.iter().filter(|file| file.is_weights()) {
            asked.push(self.needed(&listing.commit, file, &index, layers));
        }
        let needed = stream::iter(asked).buffered(self.limits.streams);
        let needed: Vec<Option<HubFile>> = needed.try_collect().await?;
        let weights: Vec<HubFile> = needed.into_iter().flatten().collect();
        let (staging, listing) = (Arc::clone(&self.staging), listing.clone());
        let kept = weights.clone();
        blocking(move || {
            let is_left_out = |file: &&HubFile| file.is_weights() && !kept.contains(file);
            let left_out = listing.files.iter().filter(is_left_out);
            staging.leave_out(&left_out.map(|file| file.name.clone()).collect())
        })
        .await?;
        Ok(weights)
    }

    /// A file if some layers need it; else its header is kept.
    async fn needed(
        &self,
        commit: &str,
        file: &HubFile,
        index: &Arc<Option<Index>>,
        layers: &Range<u32>,
    ) -> Result<Option<HubFile>, DownloadError> {
        let there = self.staging.header(file);
        let header = match there.and_then(|path| read(&path).ok()) {
            Some(header) => Some(header),
            None => self.fetch_header(commit, file, index).await?,
        };
        let (layers, staging, file) = (layers.clone(), Arc::clone(&self.staging), file.clone());
        blocking(move || match header {
            Some(header) if !needs(&header, &layers) => {
                staging.keep_header(&file, &header)?;
                Ok(None)
            }
            // What is wrong with a header is said by whoever loads the file.
            _ => Ok(Some(file)),
        })
        .await
    }

    /// The header of a file with its first eight bytes, which fits the file and the index; `None` if the file is no safetensors
    /// file, or its header is longer than a part.
    async fn fetch_header(
        &self,
        commit: &str,
        file: &HubFile,
        index: &Arc<Option<Index>>,
    ) -> Result<Option<Vec<u8>>, DownloadError> {
        let partial = Arc::new(self.staging.partial(file, self.limits.part_bytes)?);
        let first = file.size.min(self.limits.part_bytes);
        if first < LENGTH_BYTES {
            return Ok(None);
        }
        let attempt = || async {
            let length = self.beginning(commit, file, &partial, LENGTH_BYTES).await?;
            let Some(length) = headers::length(&length).filter(|length| *length <= first) else {
                return Ok(None);
            };
            let header = self.beginning(commit, file, &partial, length).await?;
            if is_sound(&header, file, index.as_ref().as_ref()) {
                return Ok(Some(header));
            }
            partial.forget_part(0).map_err(Problem::Final)?;
            let reason = "the header that came is not the file's".to_owned();
            Err(Problem::Broken(reason))
        };
        let done = || partial.missing(0).start;
        patiently(self.limits, self.progress, &file.name, done, attempt).await
    }

    /// The first bytes of a file, all of them in its first part: at once, without waiting for whoever fetches all of it.
    async fn beginning(
        &self,
        commit: &str,
        file: &HubFile,
        partial: &Arc<Partial>,
        bytes: u64,
    ) -> Result<Vec<u8>, Problem> {
        self.append(commit, file, partial, 0, Some(bytes)).await?;
        let partial = Arc::clone(partial);
        let read = blocking(move || partial.beginning(bytes)).await;
        read.map_err(Problem::Final)
    }
}

/// Whether a header can be that of a file: its tensors are as long as the file, and those that the index says.
fn is_sound(header: &[u8], file: &HubFile, index: Option<&Index>) -> bool {
    let json = &header[LENGTH_BYTES as usize..];
    let length = header.len() as u64;
    if weights::data_bytes(json).ok().map(|data| data + length) != Some(file.size) {
        return false;
    }
    let named: BTreeSet<String> = names(json).unwrap_or_default().into_iter().collect();
    index.is_none_or(|index| {
        let own = index
            .weight_map
            .iter()
            .filter(|(_, place)| **place == file.name);
        own.map(|(name, _)| name).eq(&named)
    })
}

/// The header of a safetensors file, with the eight bytes that say how long it is.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact_at(&mut length, 0)?;
    let bytes = headers::length(&length).filter(|bytes| *bytes <= headers::BYTES_MAX);
    let bytes = bytes.ok_or(io::ErrorKind::InvalidData)?;
    let mut header = vec![0; bytes as usize];
    file.read_exact_at(&mut header, 0)?;
    Ok(header)
}

/// Whether a file with this header has something that some layers need. One that cannot be read may have.
fn needs(header: &[u8], layers: &Range<u32>) -> bool {
    let json = header.get(LENGTH_BYTES as usize..).unwrap_or_default();
    let is_needed = |name: &String| layer_of(name).is_none_or(|layer| layers.contains(&layer));
    names(json).is_none_or(|names| names.iter().any(is_needed))
}

/// The tensors that a header names, if it can be read.
fn names(json: &[u8]) -> Option<Vec<String>> {
    let tensors = serde_json::from_slice::<Map<String, Value>>(json).ok()?;
    let names = tensors.into_iter().map(|(name, _)| name);
    Some(names.filter(|name| name != "__metadata__").collect())
}

/// The layer that a tensor belongs to, if it is one's.
fn layer_of(tensor: &str) -> Option<u32> {
    let mut parts = tensor.split('.');
    parts.find(|part| *part == LAYERS)?;
    parts.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &[&str]) -> Vec<u8> {
        let tensors: serde_json::Map<_, _> = names
            .iter()
            .map(|name| ((*name).to_owned(), serde_json::json!({"dtype": "F32"})))
            .collect();
        let json = serde_json::to_vec(&tensors).unwrap();
        [&(json.len() as u64).to_le_bytes()[..], &json].concat()
    }

    #[test]
    fn a_tensor_names_its_layer() {
        assert_eq!(layer_of("model.layers.12.mlp.up_proj.weight"), Some(12));
        assert_eq!(
            layer_of("language_model.model.layers.3.mlp.experts.7.w1"),
            Some(3)
        );
        assert_eq!(layer_of("backbone.layers.0.mixer.A_log"), Some(0));
        for none in [
            "model.embed_tokens.weight",
            "lm_head.weight",
            "model.layers",
            "layers.x.y",
            "",
        ] {
            assert_eq!(layer_of(none), None, "{none}");
        }
    }

    #[test]
    fn layers_need_the_files_that_they_are_in_and_those_of_no_layer() {
        let middle = header(&["__metadata__", "model.layers.4.w", "model.layers.5.w"]);
        assert!(needs(&middle, &(5..9)) && needs(&middle, &(0..5)));
        assert!(!needs(&middle, &(0..4)) && !needs(&middle, &(6..9)));
        let ends = header(&["model.norm.weight", "model.layers.9.w"]);
        assert!(needs(&ends, &(0..1)));
        assert!(
            needs(b"12345678not JSON", &(0..1)),
            "what cannot be read is fetched"
        );
        assert!(!needs(&header(&[]), &(0..1)));
    }
}
