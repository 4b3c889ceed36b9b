//! Streams of what changes: the whole value each time it differs. Whoever reads slowly misses versions in between, never
//! the last, and nothing piles up for them.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::Event;
use futures::{Stream, stream};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A comment is sent after so long a silence: a reader whose line is dead finds out.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What is streamed.
pub(super) struct Latest<T> {
    /// The name of its events.
    pub(super) name: &'static str,
    /// Between two events, at least.
    pub(super) pause: Duration,
    pub(super) changes: watch::Receiver<T>,
    /// The stream ends when this turns true.
    pub(super) stopping: watch::Receiver<bool>,
}

impl<T: Send + Sync + 'static> Latest<T> {
    /// What `show` makes of the value, until the server stops or nobody can change it any more.
    pub(super) fn events<S: Serialize>(
        self,
        show: impl Fn(&T) -> S + Send + Sync + 'static,
    ) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        let reader = Reader {
            latest: self,
            last: None,
            not_before: Instant::now(),
        };
        stream::unfold((reader, show), |(mut reader, show)| async move {
            let json = reader.next(&show).await?;
            let event = Event::default().event(reader.latest.name).data(json);
            Some((Ok(event), (reader, show)))
        })
    }
}

struct Reader<T> {
    latest: Latest<T>,
    last: Option<String>,
    not_before: Instant,
}

impl<T> Reader<T> {
    /// The next value as JSON that is not the one before.
    async fn next<S: Serialize>(&mut self, show: &impl Fn(&T) -> S) -> Option<String> {
        let latest = &mut self.latest;
        loop {
            if self.last.is_some() {
                tokio::select! {
                    biased;
                    _ = latest.stopping.wait_for(|stopping| *stopping) => return None,
                    changed = latest.changes.changed() => changed.ok()?,
                }
            }
            tokio::select! {
                biased;
                _ = latest.stopping.wait_for(|stopping| *stopping) => return None,
                () = sleep_until(self.not_before) => {}
            }
            let shown = show(&latest.changes.borrow_and_update());
            let json = serde_json::to_string(&shown).ok()?;
            if self.last.as_ref() != Some(&json) {
                self.last = Some(json.clone());
                self.not_before = Instant::now() + latest.pause;
                return Some(json);
            }
        }
    }
}
