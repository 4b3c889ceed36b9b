//! How far a download is, for whoever watches it, and how long it will take.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::partial::Forgotten;

/// Shared between a download and who watches it. Both numbers of bytes are 0 until the list of files is there.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    lent: AtomicU64,
    fetching: AtomicUsize,
    verifying: AtomicUsize,
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    commit: Option<String>,
    /// What went wrong after the last byte that came.
    trouble: Option<String>,
}

/// What a download is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// It asks what there is to fetch.
    Asking,
    /// Bytes come.
    Fetching,
    /// Something went wrong, in these words, and is tried again.
    Retrying(String),
    /// Files are held against their hashes, and nothing else is done meanwhile.
    Verifying,
}

/// Counts something that goes on until it is dropped.
#[derive(Debug)]
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn one_more(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Progress {
    /// Bytes that are on the disk, those of earlier runs too.
    pub fn done_bytes(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Bytes of all files that are fetched.
    pub fn total_bytes(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes that came from other members of the cluster in this run.
    pub fn member_bytes(&self) -> u64 {
        self.lent.load(Ordering::Relaxed)
    }

    /// The commit that is fetched, once it is known.
    pub fn commit(&self) -> Option<String> {
        self.words().commit.clone()
    }

    /// What goes on now.
    pub fn doing(&self) -> Doing {
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        if let Some(trouble) = &self.words().trouble {
            return Doing::Retrying(trouble.clone());
        }
        match (count(&self.fetching), count(&self.verifying)) {
            (0, 0) if self.total_bytes() == 0 => Doing::Asking,
            (0, 1..) => Doing::Verifying,
            _ => Doing::Fetching,
        }
    }

    pub(super) fn begin(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.words().trouble = None;
    }

    pub(super) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        if bytes > 0 {
            self.words().trouble = None;
        }
    }

    pub(super) fn add_lent(&self, bytes: u64) {
        self.lent.fetch_add(bytes, Ordering::Relaxed);
        self.add(bytes);
    }

    pub(super) fn take_back(&self, forgotten: &Forgotten) {
        self.done.fetch_sub(forgotten.bytes, Ordering::Relaxed);
        self.lent.fetch_sub(forgotten.lent_bytes, Ordering::Relaxed);
    }

    pub(super) fn missing_bytes(&self) -> u64 {
        self.total_bytes().saturating_sub(self.done_bytes())
    }

    pub(super) fn is_of(&self, commit: &str) {
        self.words().commit = Some(commit.to_owned());
    }

    pub(super) fn is_in_trouble(&self, what: &str, reason: &str) {
        self.words().trouble = Some(format!("{what}: {reason}"));
    }

    pub(super) fn fetching(&self) -> Counted<'_> {
        Counted::one_more(&self.fetching)
    }

    pub(super) fn verifying(&self) -> Counted<'_> {
        Counted::one_more(&self.verifying)
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells how fast bytes come, from what the last seconds brought.
#[derive(Debug, Default)]
pub struct Pace {
    seen: VecDeque<(Duration, u64)>,
}

/// So many observations count: ten seconds of one every half.
const OBSERVATIONS_MAX: usize = 20;

impl Pace {
    /// Notes that `done` bytes were there at `now` (since any fixed instant).
    pub fn note(&mut self, now: Duration, done: u64) {
        if self.seen.len() == OBSERVATIONS_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back((now, done));
    }

    /// Bytes per second of late. `None` while nothing comes.
    pub fn bytes_per_s(&self) -> Option<f64> {
        let ((then, before), (now, done)) = (self.seen.front()?, self.seen.back()?);
        let took = now.checked_sub(*then)?.as_secs_f64();
        let came = done.checked_sub(*before).filter(|came| *came > 0)?;
        (took > 0.0).then(|| came as f64 / took)
    }

    /// How long `missing` more bytes will take. `None` while nothing comes.
    pub fn left(&self, missing: u64) -> Option<Duration> {
        let seconds = missing as f64 / self.bytes_per_s()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_goes_by_what_came_last() {
        let mut pace = Pace::default();
        let at = Duration::from_secs;
        pace.note(at(0), 0);
        assert_eq!(pace.left(100), None);
        pace.note(at(1), 10);
        assert_eq!(pace.left(90), Some(at(9)));
        for second in 2..=30 {
            pace.note(at(second), 10 + second - 1);
        }
        assert_eq!(
            pace.left(61),
            Some(at(61)),
            "one byte a second, and no longer ten"
        );
        pace.note(at(31), 5);
        assert_eq!(pace.left(95), None, "bytes were taken back");
    }

    #[test]
    fn what_goes_on_is_told_until_it_is_over() {
        let progress = Progress::default();
        assert_eq!(progress.doing(), Doing::Asking);
        progress.is_in_trouble("the list of files", "it answers 500");
        let trouble = Doing::Retrying("the list of files: it answers 500".to_owned());
        assert_eq!(progress.doing(), trouble);
        progress.begin(0, 10);
        let verifying = progress.verifying();
        assert_eq!(progress.doing(), Doing::Verifying);
        let fetching = progress.fetching();
        assert_eq!(progress.doing(), Doing::Fetching);
        progress.is_in_trouble("a", "b");
        assert_eq!(progress.doing(), Doing::Retrying("a: b".to_owned()));
        progress.add(1);
        drop((fetching, verifying));
        assert_eq!(progress.doing(), Doing::Fetching);
    }
}
