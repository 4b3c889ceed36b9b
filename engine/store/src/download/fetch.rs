//! Getting the files of a listing: several at once, each in parts, each part until its last byte is written, each file until
//! its hash is right.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use super::client::{Client, broken};
use super::error::DownloadError;
use super::listing::{HubFile, Listing};
use super::name::Wanted;
use super::partial::Partial;
use super::progress::Progress;
use super::retry::Problem;
use super::staging::Staging;
use super::{Limits, blocking};

/// How often a file is fetched whose hash is wrong, before the hub or the way from it counts as broken.
const CONTENT_TRIES: u32 = 3;
/// Bytes that are gathered before they are written: all that a range loses when the process is killed.
const WRITE_BYTES: usize = 1 << 20;
/// No byte waits longer than this for being written: slow lines would lose minutes of their work, and show none of it.
const WRITE_WITHIN: Duration = Duration::from_secs(1);

/// What everything that is fetched for one download shares.
pub(super) struct Fetch<'a> {
    pub client: Client,
    pub wanted: &'a Wanted,
    pub staging: Arc<Staging>,
    pub limits: &'a Limits,
    pub progress: &'a Progress,
    /// One for each range that may be fetched at once.
    pub streams: Semaphore,
}

impl Fetch<'_> {
    /// The list of files.
    pub(super) async fn listing(&self) -> Result<Listing, DownloadError> {
        let ask = || self.client.listing(self.wanted);
        patiently(self.limits, self.progress, "the list of files", || 0, ask).await
    }

    /// All files of a listing, unless the commit that is `here` is the same: the commit, and whether it is.
    pub(super) async fn new_files(
        &self,
        listing: Listing,
        here: Option<&str>,
    ) -> Result<(String, bool), DownloadError> {
        self.progress.is_of(&listing.commit);
        let was_here = here == Some(&listing.commit);
        if !was_here {
            self.all(&listing).await?;
        }
        Ok((listing.commit, was_here))
    }

    /// All files of a listing that are not verified yet.
    async fn all(&self, listing: &Listing) -> Result<(), DownloadError> {
        let (staging, wanted, files) = (
            Arc::clone(&self.staging),
            self.wanted.clone(),
            listing.clone(),
        );
        let part_bytes = self.limits.part_bytes;
        let total = listing.files.iter().map(|file| file.size).sum();
        let verifying = self.progress.verifying();
        let done = blocking(move || {
            staging.begin(&wanted, &files)?;
            staging.share(&files)?;
            let done = files
                .files
                .iter()
                .map(|file| staging.done_bytes(file, part_bytes));
            done.sum::<Result<u64, _>>()
        })
        .await?;
        drop(verifying);
        self.progress.begin(done, total);
        self.check_disk()?;
        let mut fetches = Vec::new();
        // Not `map`: what it made could not be handed to another thread.
        for file in &listing.files {
            fetches.push(self.file(&listing.commit, file));
        }
        stream::iter(fetches)
            .buffer_unordered(self.limits.streams)
            .try_collect()
            .await
    }

    /// One file, until it is verified.
    async fn file(&self, commit: &str, file: &HubFile) -> Result<(), DownloadError> {
        if self.staging.is_verified(file) {
            return Ok(());
        }
        let partial = Arc::new(self.staging.partial(file, self.limits.part_bytes)?);
        for _ in 0..CONTENT_TRIES {
            let parts = (0..partial.parts()).map(|part| self.part(commit, file, &partial, part));
            let fetched = stream::iter(parts).buffer_unordered(self.limits.streams);
            fetched.try_collect::<()>().await?;
            if self.verify(file, &partial).await? {
                return Ok(());
            }
            self.progress.take_back(file.size);
        }
        Err(DownloadError::Corrupt {
            file: file.name.clone(),
            tries: CONTENT_TRIES,
        })
    }

    /// Keeps a file that is what it should be; of another nothing is left.
    async fn verify(&self, file: &HubFile, partial: &Arc<Partial>) -> Result<bool, DownloadError> {
        let (staging, partial, file) =
            (Arc::clone(&self.staging), Arc::clone(partial), file.clone());
        let _verifying = self.progress.verifying();
        blocking(move || {
            let is_whole = partial.is_whole(&file)?;
            if is_whole {
                staging.keep(&file, &partial)?;
            } else {
                partial.restart()?;
            }
            Ok(is_whole)
        })
        .await
    }

    /// One part of a file, until its last byte is written.
    async fn part(
        &self,
        commit: &str,
        file: &HubFile,
        partial: &Arc<Partial>,
        part: usize,
    ) -> Result<(), DownloadError> {
        let stream = self.streams.acquire().await;
        let _stream = stream.expect("the semaphore is never closed");
        let done = || partial.missing(part).start;
        let append = || self.append(commit, file, partial, part);
        patiently(self.limits, self.progress, &file.name, done, append).await
    }

    /// Asks once for what is missing of a part, and writes what comes, also of an answer that breaks.
    async fn append(
        &self,
        commit: &str,
        file: &HubFile,
        partial: &Arc<Partial>,
        part: usize,
    ) -> Result<(), Problem> {
        let missing = partial.missing(part);
        if missing.is_empty() {
            return Ok(());
        }
        self.check_disk().map_err(Problem::Final)?;
        let repository = &self.wanted.repository;
        let mut response = self
            .client
            .range(repository, commit, file, &missing)
            .await?;
        let _fetching = self.progress.fetching();
        let mut left = (missing.end - missing.start) as usize;
        let mut gathered = Vec::new();
        let mut written = Instant::now();
        // Ends: each round takes bytes off what is left, or leaves.
        let outcome = loop {
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    let bytes = &bytes[..bytes.len().min(left)];
                    gathered.extend_from_slice(bytes);
                    left -= bytes.len();
                    self.limits.throttle.pass(bytes.len() as u64).await;
                }
                Ok(None) => break Err(Problem::Broken("its answer ends too early".to_owned())),
                Err(error) => break Err(broken(error)),
            }
            if left == 0 {
                break Ok(());
            }
            if gathered.len() >= WRITE_BYTES || written.elapsed() >= WRITE_WITHIN {
                self.write(partial, part, std::mem::take(&mut gathered))
                    .await?;
                written = Instant::now();
            }
        };
        self.write(partial, part, gathered).await?;
        outcome
    }

    async fn write(
        &self,
        partial: &Arc<Partial>,
        part: usize,
        bytes: Vec<u8>,
    ) -> Result<(), Problem> {
        let partial = Arc::clone(partial);
        let count = bytes.len() as u64;
        let written = blocking(move || partial.append(part, &bytes)).await;
        written.map_err(Problem::Final)?;
        self.progress.add(count);
        Ok(())
    }

    fn check_disk(&self) -> Result<(), DownloadError> {
        let missing = self.progress.missing_bytes();
        self.limits.disk.check(self.staging.folder(), missing)
    }
}

/// Tries something until it goes well or patience ends; whatever makes `done` grow was no failure.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Problem>>>(
    limits: &Limits,
    progress: &Progress,
    what: &str,
    done: impl Fn() -> u64,
    mut attempt: impl FnMut() -> F,
) -> Result<T, DownloadError> {
    let (mut tries, mut before) = (0, done());
    // Ends: `done` is bounded, and so are tries in a row that add nothing to it.
    loop {
        let problem = match attempt().await {
            Ok(outcome) => return Ok(outcome),
            Err(problem) => problem,
        };
        let now = done();
        tries = if now > before { 1 } else { tries + 1 };
        before = now;
        let chance = limits.chance.rotate_left(tries * 8);
        progress.is_in_trouble(what, &problem.words());
        let wait = limits.patience.after(problem, tries, chance, what)?;
        tokio::time::sleep(wait).await;
    }
}
