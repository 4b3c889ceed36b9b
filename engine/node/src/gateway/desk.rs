//! Where prompts are prepared: tokenized, put into a template, their grammars tried. Off the runtime's threads, because it
//! takes milliseconds and a template is foreign code; and on as many threads as there are processors, always the same:
//! more at once are no faster, and glibc keeps for each thread what a long prompt took there for a moment.

use std::thread;

use base::{ErrorCode, Failure};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot;

/// Threads on which one prompt each is prepared.
#[derive(Debug)]
pub(super) struct Desk(ThreadPool);

impl Desk {
    /// Its threads are there at once.
    ///
    /// # Panics
    /// If the system gives no threads: then no node can run.
    pub(super) fn new() -> Self {
        Self::of(thread::available_parallelism().map_or(2, usize::from))
    }

    fn of(threads: usize) -> Self {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("prepare-{number}"))
            // Whoever waits hears of it.
            .panic_handler(|_| tracing::error!("preparing a prompt broke off"));
        Self(pool.build().expect("a thread for each processor"))
    }

    /// Does some work in its turn; what waits belongs to requests, which are counted where they come in. Work that has
    /// begun is done, though nobody waits for it any more.
    pub(super) async fn prepare<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (done, waiting) = oneshot::channel();
        self.0.spawn(move || {
            if !done.is_closed() {
                // Nobody waits if the request is gone.
                let _ = done.send(work());
            }
        });
        waiting.await.unwrap_or_else(|_| {
            let message = "preparing the prompt broke off";
            Err(Failure::new(ErrorCode::Internal, message))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn not_more_at_once_than_there_are_places() {
        let desk = Desk::of(2);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = |number: usize| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            desk.prepare(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(5));
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(number)
            })
        };
        let done = futures::future::join_all((0..8).map(work)).await;
        assert_eq!(done, (0..8).map(Ok).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn work_that_breaks_off_gives_its_place_back() {
        let desk = Desk::of(1);
        let broken = desk.prepare(|| -> Result<(), Failure> { panic!("a template") });
        assert_eq!(broken.await.unwrap_err().code, ErrorCode::Internal);
        assert_eq!(desk.prepare(|| Ok(1)).await, Ok(1));
    }
}
