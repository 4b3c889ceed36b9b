//! Getting the files of a listing: several at once, each in parts, each part until its last byte is written, each file until
//! its hash is right.

use std::future::Future;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::NodeId;
use bytes::Bytes;
use futures::future::{Either, select};
use futures::stream::{self, FuturesUnordered, Stream, StreamExt, TryStreamExt};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::client::{Client, broken};
use super::error::DownloadError;
use super::lenders::Next;
use super::listing::{HubFile, Listing};
use super::members::{Lender, Mirror, Source};
use super::name::Wanted;
use super::partial::{Forgotten, Partial};
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

/// How long a part waits without a byte for members who are fetching it, or should, before it is fetched here.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// A member that was asked to send bytes as they arrive, and ends before this without one, did not even wait.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// What everything that is fetched for one download shares.
pub(super) struct Fetch<'a> {
    /// `None` if nothing may come from a hub.
    pub client: Option<Client>,
    pub wanted: &'a Wanted,
    /// The layers whose weights are fetched; all if there are none.
    pub layers: Option<Range<u32>>,
    pub staging: Arc<Staging>,
    pub limits: &'a Limits,
    pub progress: &'a Progress,
    /// One for each part that may be under way, whoever it comes from.
    pub parts: Semaphore,
    /// One for each range that a hub may be asked for at once, and one for each that members may be.
    pub hub_streams: Semaphore,
    pub lent_streams: Semaphore,
    /// The members of the cluster.
    pub mirror: Mirror<'a>,
}

impl Fetch<'_> {
    /// See [`listing`].
    pub(super) async fn listing(&self) -> Result<Listing, DownloadError> {
        let client = self.client.as_ref();
        listing(
            client,
            &self.mirror,
            self.wanted,
            self.limits,
            self.progress,
        )
        .await
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
            self.wanted_of(&listing).await?;
        }
        Ok((listing.commit, was_here))
    }

    /// All files of a listing that are wanted and not verified yet.
    async fn wanted_of(&self, listing: &Listing) -> Result<(), DownloadError> {
        let (staging, wanted) = (Arc::clone(&self.staging), self.wanted.clone());
        let (begun, has_all) = (listing.clone(), self.layers.is_none());
        blocking(move || staging.begin(&wanted, &begun, has_all)).await?;
        let files = match &self.layers {
            Some(layers) => self.of_layers(listing, layers).await?,
            None => listing.files.clone(),
        };
        self.take_over(listing, &files).await?;
        let fetching = self.files(&listing.commit, &files);
        self.meanwhile_looking(&listing.commit, fetching).await
    }

    /// Takes over what is here of some files of a listing, and begins to count what is not.
    pub(super) async fn take_over(
        &self,
        listing: &Listing,
        files: &[HubFile],
    ) -> Result<(), DownloadError> {
        let (staging, wanted) = (Arc::clone(&self.staging), self.wanted.clone());
        let files = Listing {
            commit: listing.commit.clone(),
            files: files.to_vec(),
        };
        let limits = self.limits.clone();
        let total = files.files.iter().map(|file| file.size).sum();
        let verifying = self.progress.verifying();
        let done = blocking(move || {
            staging.share(&files)?;
            if let Some(cache) = &limits.cache {
                staging.take_from_cache(&files, &wanted.repository, cache, &limits.disk)?;
            }
            let done = files
                .files
                .iter()
                .map(|file| staging.done_bytes(file, limits.part_bytes));
            done.sum::<Result<u64, _>>()
        })
        .await?;
        drop(verifying);
        self.progress.begin(done, total);
        self.check_disk()
    }

    /// Does something while the members are looked at.
    pub(super) async fn meanwhile_looking<T>(
        &self,
        commit: &str,
        work: impl Future<Output = T>,
    ) -> T {
        self.mirror.meet(commit).await;
        let (work, looking) = (pin!(work), pin!(self.mirror.keep_looking(commit)));
        match select(work, looking).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((never, _)) => match never {},
        }
    }

    /// Some files, until all are verified.
    pub(super) async fn files(&self, commit: &str, files: &[HubFile]) -> Result<(), DownloadError> {
        let mut fetches = Vec::new();
        // Not `map`: what it made could not be handed to another thread.
        for file in files {
            fetches.push(self.file(commit, file));
        }
        let fetching = stream::iter(fetches).buffer_unordered(self.limits.streams);
        fetching.try_collect().await
    }

    /// One file, until it is verified.
    async fn file(&self, commit: &str, file: &HubFile) -> Result<(), DownloadError> {
        if self.staging.is_verified(file) {
            return Ok(());
        }
        let partial = Arc::new(self.staging.partial(file, self.limits.part_bytes)?);
        let mut tries = 0;
        // Ends: each round is a try, or the last one in which somebody is asked.
        while tries < CONTENT_TRIES {
            let parts = (0..partial.parts()).map(|part| self.part(commit, file, &partial, part));
            // All of them queue at once: so parts begin in the same order everywhere, and nobody waits for a member that
            // waits for something else.
            let fetched = parts.collect::<FuturesUnordered<_>>();
            fetched.try_collect::<()>().await?;
            let Some(forgotten) = self.verify(file, &partial).await? else {
                return Ok(());
            };
            self.progress.take_back(&forgotten);
            tries += u32::from(forgotten.lenders.is_empty());
            self.mirror.never_ask_again(&forgotten.lenders);
        }
        Err(DownloadError::Corrupt {
            file: file.name.clone(),
            tries: CONTENT_TRIES,
        })
    }

    /// Keeps a file that is what it should be; of another gives what was forgotten of it.
    async fn verify(
        &self,
        file: &HubFile,
        partial: &Arc<Partial>,
    ) -> Result<Option<Forgotten>, DownloadError> {
        let (staging, partial, file) =
            (Arc::clone(&self.staging), Arc::clone(partial), file.clone());
        let _verifying = self.progress.verifying();
        blocking(move || {
            if !partial.is_whole(&file)? {
                return Ok(Some(partial.forget()?));
            }
            staging.keep(&file, &partial)?;
            Ok(None)
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
        let _place = permit(&self.parts).await;
        let done = || partial.missing(part).start;
        let append = || self.append(commit, file, partial, part, None);
        patiently(self.limits, self.progress, &file.name, done, append).await
    }

    /// Asks members for what is missing of a part as long as there are some to ask, the hub for what none of them has or will
    /// have, and writes what comes, also of an answer that breaks. If only what is before `until` is wanted, nobody is waited for.
    pub(super) async fn append(
        &self,
        commit: &str,
        file: &HubFile,
        partial: &Arc<Partial>,
        part: usize,
        until: Option<u64>,
    ) -> Result<(), Problem> {
        let mut came = Instant::now();
        // Ends: each round brings bytes, or one member more rests, or is waited for as long as that may be.
        loop {
            // Nobody else fills this part.
            let mut missing = partial.missing(part);
            missing.end = missing.end.min(until.unwrap_or(u64::MAX));
            if missing.is_empty() {
                return Ok(());
            }
            self.check_disk().map_err(Problem::Final)?;
            let may_wait = until.is_none() && came.elapsed() < WAIT_MAX;
            let source = || self.source(file, missing.clone(), may_wait);
            let asked = match source() {
                Source::Hub(_) => {
                    let stream = permit(&self.hub_streams).await;
                    // Perhaps somebody has it by now.
                    let Source::Hub(until) = source() else {
                        continue;
                    };
                    let asked = self.ask_hub(commit, file, partial, part, until).await;
                    drop(stream);
                    asked
                }
                Source::Member(lender) => self.ask_member(&lender, file, partial, part).await,
            };
            asked?;
            if partial.missing(part).start > missing.start {
                came = Instant::now();
            }
        }
    }

    fn source(&self, file: &HubFile, missing: Range<u64>, may_wait: bool) -> Source<'_> {
        let next = Next {
            missing,
            part_bytes: self.limits.part_bytes,
        };
        self.mirror.source(file, &next, may_wait)
    }

    /// Takes what a member gives of a part; one that does not do what it said rests.
    async fn ask_member(
        &self,
        lender: &Lender<'_>,
        file: &HubFile,
        partial: &Arc<Partial>,
        part: usize,
    ) -> Result<(), Problem> {
        let _stream = permit(&self.lent_streams).await;
        let asked = Instant::now();
        let Range { start, end } = lender.range;
        let outcome = match lender.bytes(file).await {
            Some(pieces) => {
                let from = Some(lender.node);
                self.fill(partial, part, end - start, pieces.map(Ok), from)
                    .await
            }
            None => Err(Problem::Broken("it lends nothing".to_owned())),
        };
        match outcome {
            Err(Problem::Final(error)) => return Err(Problem::Final(error)),
            Err(_) if partial.missing(part).start > start => {}
            Err(_) if lender.is_awaited && asked.elapsed() >= WAIT_MIN => {}
            Err(_) => lender.rests(),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Asks the hub for what is missing of a part up to a place in the file.
    async fn ask_hub(
        &self,
        commit: &str,
        file: &HubFile,
        partial: &Arc<Partial>,
        part: usize,
        until: u64,
    ) -> Result<(), Problem> {
        let Some(client) = &self.client else {
            let reason = "no member of the cluster lends it, and HF_HUB_OFFLINE is set";
            return Err(Problem::Broken(reason.to_owned()));
        };
        let start = partial.missing(part).start;
        let asked = async {
            partial.comes_until(part, until).map_err(Problem::Final)?;
            let repository = &self.wanted.repository;
            let response = client
                .range(repository, commit, file, &(start..until))
                .await?;
            let pieces = stream::unfold(response, |mut response| async move {
                let piece = response.chunk().await.map_err(broken).transpose()?;
                Some((piece, response))
            });
            let length = until - start;
            self.fill(partial, part, length, pin!(pieces), None).await
        };
        let outcome = asked.await;
        partial.comes_until(part, 0).map_err(Problem::Final)?;
        if outcome.is_err() && partial.missing(part).start == start {
            self.mirror.hub_fails();
        }
        outcome
    }

    /// Writes the next `length` bytes of a part, `from` a member or else from the hub.
    async fn fill(
        &self,
        partial: &Arc<Partial>,
        part: usize,
        length: u64,
        mut pieces: impl Stream<Item = Result<Bytes, Problem>> + Unpin,
        from: Option<NodeId>,
    ) -> Result<(), Problem> {
        let _fetching = self.progress.fetching();
        let mut left = length as usize;
        let mut gathered = Vec::new();
        let mut written = Instant::now();
        // Ends: each round takes bytes off what is left, or leaves.
        let outcome = loop {
            match pieces.next().await {
                Some(Ok(bytes)) => {
                    let bytes = &bytes[..bytes.len().min(left)];
                    gathered.extend_from_slice(bytes);
                    left -= bytes.len();
                    if from.is_none() {
                        self.limits.throttle.pass(bytes.len() as u64).await;
                    }
                }
                None => break Err(Problem::Broken("its answer ends too early".to_owned())),
                Some(Err(problem)) => break Err(problem),
            }
            if left == 0 {
                break Ok(());
            }
            if gathered.len() >= WRITE_BYTES || written.elapsed() >= WRITE_WITHIN {
                let bytes = std::mem::take(&mut gathered);
                self.write(partial, part, bytes, from).await?;
                written = Instant::now();
            }
        };
        self.write(partial, part, gathered, from).await?;
        outcome
    }

    async fn write(
        &self,
        partial: &Arc<Partial>,
        part: usize,
        bytes: Vec<u8>,
        from: Option<NodeId>,
    ) -> Result<(), Problem> {
        let partial = Arc::clone(partial);
        let count = bytes.len() as u64;
        let written = blocking(move || {
            if let Some(lender) = from {
                partial.lent_by(part, lender, count);
            }
            partial.append(part, &bytes)
        });
        written.await.map_err(Problem::Final)?;
        match from {
            Some(_) => self.progress.add_lent(count),
            None => self.progress.add(count),
        }
        Ok(())
    }

    fn check_disk(&self) -> Result<(), DownloadError> {
        let missing = self.progress.missing_bytes();
        self.limits.disk.check(self.staging.folder(), missing)
    }
}

async fn permit(semaphore: &Semaphore) -> SemaphorePermit<'_> {
    let permit = semaphore.acquire().await;
    permit.expect("the semaphore is never closed")
}

/// The list of files: the hub's, or a member's while there is no answer from the hub.
pub(super) async fn listing(
    client: Option<&Client>,
    mirror: &Mirror<'_>,
    wanted: &Wanted,
    limits: &Limits,
    progress: &Progress,
) -> Result<Listing, DownloadError> {
    let Some(client) = client else {
        return mirror.listing().await.ok_or(DownloadError::Offline);
    };
    let ask = || async {
        match client.listing(wanted).await {
            Err(problem @ (Problem::Broken(_) | Problem::Unwell { .. })) => {
                mirror.listing().await.ok_or(problem)
            }
            outcome => outcome,
        }
    };
    patiently(limits, progress, "the list of files", || 0, ask).await
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
