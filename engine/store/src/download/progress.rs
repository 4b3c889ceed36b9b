//! How far a download is, for whoever watches it, and how long it will take.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Shared between a download and who watches it. Both numbers are 0 until the list of files is there.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
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

    pub(super) fn begin(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    pub(super) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn take_back(&self, bytes: u64) {
        self.done.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn missing_bytes(&self) -> u64 {
        self.total_bytes().saturating_sub(self.done_bytes())
    }
}

/// Tells the time that is left from what the last seconds brought.
#[derive(Debug, Default)]
pub struct Pace {
    seen: VecDeque<(Duration, u64)>,
}

/// So many observations count: ten seconds of one every half.
const OBSERVATIONS_MAX: usize = 20;

impl Pace {
    /// Notes that `done` bytes were there at `now` (since any fixed instant), and says how long `total - done` more will take.
    /// `None` while nothing comes.
    pub fn left(&mut self, now: Duration, done: u64, total: u64) -> Option<Duration> {
        if self.seen.len() == OBSERVATIONS_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back((now, done));
        let (then, before) = self.seen.front()?;
        let took = now.checked_sub(*then)?.as_secs_f64();
        let came = done.checked_sub(*before).filter(|came| *came > 0)?;
        let seconds = total.saturating_sub(done) as f64 * took / came as f64;
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
        assert_eq!(pace.left(at(0), 0, 100), None);
        assert_eq!(pace.left(at(1), 10, 100), Some(at(9)));
        let mut left = None;
        for second in 2..=30 {
            left = pace.left(at(second), 10 + second - 1, 100);
        }
        assert_eq!(left, Some(at(61)), "one byte a second, and no longer ten");
        assert_eq!(pace.left(at(31), 5, 100), None, "bytes were taken back");
    }
}
