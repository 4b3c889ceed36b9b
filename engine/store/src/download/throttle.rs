//! How fast bytes may come, all downloads together. A token bucket without a burst: bytes that came too early are waited for
//! afterwards, which makes the network slow down the sender.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A limit that any number of downloads share. Without one they go as fast as they can.
#[derive(Debug, Default)]
pub struct Throttle {
    /// 0 is no limit.
    bytes_per_s: AtomicU64,
    /// When what has come so far would be there at the rate that is allowed.
    paid_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// Lets so many bytes through in a second from now on; 0 is any number.
    pub fn set(&self, bytes_per_s: u64) {
        self.bytes_per_s.store(bytes_per_s, Ordering::Relaxed);
    }

    /// Waits until `bytes` that have come may have come.
    pub(super) async fn pass(&self, bytes: u64) {
        let rate = self.bytes_per_s.load(Ordering::Relaxed);
        if rate == 0 {
            return;
        }
        let now = Instant::now();
        let paid_at = {
            let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
            let next = paid_at.map_or(now, |paid| paid.max(now)) + cost(bytes, rate);
            *paid_at = Some(next);
            next
        };
        tokio::time::sleep_until(paid_at).await;
    }
}

/// How long bytes take at a rate above 0.
fn cost(bytes: u64, bytes_per_s: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / bytes_per_s as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long three streams of 10,000 bytes take together.
    async fn three(throttle: &Throttle) -> Duration {
        let start = Instant::now();
        let stream = async || {
            for _ in 0..10 {
                throttle.pass(1000).await;
            }
        };
        tokio::join!(stream(), stream(), stream());
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn all_streams_together_keep_to_the_limit() {
        let throttle = Throttle::default();
        assert_eq!(three(&throttle).await, Duration::ZERO);
        throttle.set(10_000);
        let took = three(&throttle).await.as_secs_f64();
        assert!((2.9..3.1).contains(&took), "{took}");
        // What was not used in quiet times is not made up for.
        tokio::time::sleep(Duration::from_mins(1)).await;
        let took = three(&throttle).await.as_secs_f64();
        assert!((2.9..3.1).contains(&took), "{took}");
        throttle.set(0);
        assert_eq!(three(&throttle).await, Duration::ZERO);
    }
}
