//! What a model is made of, before it is fetched: its configuration, and of its weights the headers alone.
//!
//! They are written as a folder that looks like the model's: files of the full length with nothing in them but their headers,
//! which take no room on a disk. Whoever reads headers reads them as those of the model.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use futures::stream::{self, StreamExt, TryStreamExt};

use super::client::{Client, broken};
use super::error::DownloadError;
use super::fetch::patiently;
use super::headers;
use super::listing::{HubFile, Listing};
use super::name::Wanted;
use super::progress::Progress;
use super::retry::Problem;
use super::{Hub, Limits, blocking};

/// The largest configuration; of weights these are the headers that are read without a second thought. A repository whose
/// headers are longer is made of many files alike.
const CONFIG: &str = "config.json";
const CONFIG_BYTES_MAX: u64 = 4 << 20;
const HEADERS_BYTES: u64 = 1 << 20;
/// How many of the first and of the last files are read of many: what is special in a model is at its ends.
const ENDS: usize = 3;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The commit it is of.
    pub commit: String,
    /// Bytes that a download fetches.
    pub bytes: u64,
    /// Bytes of weights among them.
    pub weights_bytes: u64,
    /// Bytes that were fetched for this, beside the list of files.
    pub fetched_bytes: u64,
}

/// Writes a repository's outline into an empty folder. What is wrong with its headers is said by whoever reads them.
pub async fn outline(
    wanted: &Wanted,
    into: &Path,
    hub: &Hub,
    limits: &Limits,
) -> Result<Outline, DownloadError> {
    let asking = Asking {
        client: Client::new(hub, limits.stall_max)?,
        wanted,
        limits,
        progress: &Progress::default(),
    };
    let ask = || asking.client.listing(wanted);
    let listing = patiently(limits, asking.progress, "the list of files", || 0, ask).await?;
    let (weights, small): (Vec<&HubFile>, Vec<&HubFile>) =
        listing.files.iter().partition(|file| file.is_weights());
    let config = small.iter().find(|file| file.name == CONFIG);
    let config = config.ok_or_else(|| DownloadError::NotAModel {
        reason: format!("it has no {CONFIG}"),
    })?;
    if config.size > CONFIG_BYTES_MAX {
        let reason = format!("it has {} bytes, more than {CONFIG_BYTES_MAX}", config.size);
        return Err(DownloadError::refused(CONFIG, reason));
    }
    let said = asking.bytes(&listing, config, 0..config.size).await?;
    let lengths = asking.header_lengths(&listing, &weights).await?;
    let headers = asking.headers(&listing, &weights, &lengths, &said).await?;
    let fetched_bytes = config.size + 8 * weights.len() as u64 + headers.fetched_bytes;
    let outline = Outline {
        bytes: listing.files.iter().map(|file| file.size).sum(),
        weights_bytes: weights.iter().map(|file| file.size).sum(),
        fetched_bytes,
        commit: listing.commit,
    };
    let into = into.to_owned();
    blocking(move || write(&into, &said, &headers.files)).await?;
    Ok(outline)
}

/// Headers by the names of the files that they are written to, and how long these are.
struct Headers {
    files: Vec<(String, Vec<u8>, u64)>,
    fetched_bytes: u64,
}

struct Asking<'a> {
    client: Client,
    wanted: &'a Wanted,
    limits: &'a Limits,
    progress: &'a Progress,
}

impl Asking<'_> {
    /// Some bytes of a file.
    async fn bytes(
        &self,
        listing: &Listing,
        file: &HubFile,
        range: std::ops::Range<u64>,
    ) -> Result<Vec<u8>, DownloadError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let ask = || self.bytes_once(listing, file, &range);
        patiently(self.limits, self.progress, &file.name, || 0, ask).await
    }

    async fn bytes_once(
        &self,
        listing: &Listing,
        file: &HubFile,
        range: &std::ops::Range<u64>,
    ) -> Result<Vec<u8>, Problem> {
        let wanted = (range.end - range.start) as usize;
        let answer = self
            .client
            .range(&self.wanted.repository, &listing.commit, file, range);
        let mut answer = answer.await?;
        let mut bytes = Vec::with_capacity(wanted);
        while bytes.len() < wanted {
            let Some(piece) = answer.chunk().await.map_err(broken)? else {
                let reason = "its answer ends too early".to_owned();
                return Err(Problem::Broken(reason));
            };
            bytes.extend_from_slice(&piece);
        }
        bytes.truncate(wanted);
        Ok(bytes)
    }

    /// How long each file's header is, with the eight bytes that say so.
    async fn header_lengths(
        &self,
        listing: &Listing,
        weights: &[&HubFile],
    ) -> Result<Vec<u64>, DownloadError> {
        let mut asked = Vec::new();
        // Not `map`: what it made could not be handed to another thread.
        for &file in weights {
            asked.push(self.header_length(listing, file));
        }
        let lengths = stream::iter(asked).buffered(self.limits.streams);
        let lengths: Vec<u64> = lengths.try_collect().await?;
        let together = lengths
            .iter()
            .fold(0_u64, |sum, length| sum.saturating_add(*length));
        if together > headers::BYTES_MAX {
            let reason = format!("the headers of its weights have {together} bytes");
            return Err(DownloadError::refused("its weights", reason));
        }
        Ok(lengths)
    }

    async fn header_length(&self, listing: &Listing, file: &HubFile) -> Result<u64, DownloadError> {
        let first = self.bytes(listing, file, 0..file.size.min(8)).await?;
        let length = headers::length(&first).filter(|length| *length <= file.size);
        length.ok_or_else(|| {
            DownloadError::refused(&file.name, "it is cut short, or no safetensors file")
        })
    }

    /// All headers, or where they are long as many as show what the others must be.
    async fn headers(
        &self,
        listing: &Listing,
        weights: &[&HubFile],
        lengths: &[u64],
        config: &[u8],
    ) -> Result<Headers, DownloadError> {
        let some = sample(lengths);
        let mut known = self.read(listing, weights, lengths, &some).await?;
        let data: u64 =
            weights.iter().map(|file| file.size).sum::<u64>() - lengths.iter().sum::<u64>();
        if some.len() < weights.len() {
            let read: u64 = some.iter().map(|at| lengths[*at]).sum();
            let tensors = known.iter().map(|(_, header)| header.as_slice());
            if let Some((header, bytes)) = headers::completed(tensors, config, data) {
                return Ok(Headers {
                    files: vec![("model.safetensors".to_owned(), header, bytes)],
                    fetched_bytes: read,
                });
            }
            let rest: Vec<usize> = (0..weights.len()).filter(|at| !some.contains(at)).collect();
            known.extend(self.read(listing, weights, lengths, &rest).await?);
        }
        let files = known.into_iter();
        Ok(Headers {
            files: files
                .map(|(at, header)| (weights[at].name.clone(), header, weights[at].size))
                .collect(),
            fetched_bytes: lengths.iter().sum(),
        })
    }

    /// The headers of some files, with their eight bytes.
    async fn read(
        &self,
        listing: &Listing,
        weights: &[&HubFile],
        lengths: &[u64],
        some: &[usize],
    ) -> Result<Vec<(usize, Vec<u8>)>, DownloadError> {
        let mut asked = Vec::new();
        for &at in some {
            let header = self.bytes(listing, weights[at], 0..lengths[at]);
            asked.push(async move { header.await.map(|header| (at, header)) });
        }
        let headers = stream::iter(asked).buffer_unordered(self.limits.streams);
        headers.try_collect().await
    }
}

/// Which files' headers are read at first: all, or of many long ones the first and the last, and some between.
fn sample(lengths: &[u64]) -> Vec<usize> {
    let all = lengths.iter().sum::<u64>();
    let count = lengths.len();
    if all <= HEADERS_BYTES || count <= 2 * ENDS {
        return (0..count).collect();
    }
    let fitting = (HEADERS_BYTES * count as u64 / all) as usize;
    let between = fitting.saturating_sub(2 * ENDS).max(1);
    let inner = count - 2 * ENDS;
    let spread = (0..between).map(|at| ENDS + at * inner / between);
    let mut some: Vec<usize> = (0..ENDS).chain(spread).chain(count - ENDS..count).collect();
    some.dedup();
    some
}

/// The folder, of what was read.
fn write(
    into: &Path,
    config: &[u8],
    files: &[(String, Vec<u8>, u64)],
) -> Result<(), DownloadError> {
    let written = |path: PathBuf, bytes: &[u8], length: u64| -> io::Result<()> {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.set_len(length)
    };
    let outcome = fs::create_dir_all(into).and_then(|()| {
        written(into.join(CONFIG), config, config.len() as u64)?;
        files
            .iter()
            .try_for_each(|(name, header, length)| written(into.join(name), header, *length))
    });
    outcome.map_err(|error| DownloadError::io(into)(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_or_short_headers_are_all_read() {
        assert_eq!(sample(&[100; 4]), [0, 1, 2, 3]);
        assert_eq!(sample(&[1 << 20; 6]), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn of_many_long_ones_as_many_as_fit_are_read() {
        let some = sample(&[60_000; 163]);
        assert!(some.len() < 20 && some.is_sorted(), "{some:?}");
        assert_eq!(some[..3], [0, 1, 2]);
        assert_eq!(some[some.len() - 3..], [160, 161, 162]);
        assert_eq!(sample(&[u64::from(u32::MAX); 8]).len(), 7);
    }
}
