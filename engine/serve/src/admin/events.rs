//! The stream of changes: the whole state each time it differs. Whoever reads slowly misses versions in between, never
//! the last, and nothing piles up for them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures::{Stream, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::model::State;
use crate::view::ClusterView;

/// Between two states: progress of loading changes hundreds of times a second, and people see ten.
const PAUSE: Duration = Duration::from_millis(100);

/// States until the server stops or the node is gone.
pub(super) fn states(
    changes: watch::Receiver<Arc<ClusterView>>,
    stopping: watch::Receiver<bool>,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let states = States {
        changes,
        stopping,
        last: None,
        not_before: Instant::now(),
    };
    stream::unfold(states, |mut states| async move {
        let json = states.next().await?;
        let event = Event::default().event("state").data(json);
        Some((Ok(event), states))
    })
}

struct States {
    changes: watch::Receiver<Arc<ClusterView>>,
    stopping: watch::Receiver<bool>,
    last: Option<String>,
    not_before: Instant,
}

impl States {
    /// The next state as JSON that is not the one before.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.last.is_some() {
                tokio::select! {
                    biased;
                    _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                    changed = self.changes.changed() => changed.ok()?,
                }
            }
            tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                () = sleep_until(self.not_before) => {}
            }
            let state = State::from(&**self.changes.borrow_and_update());
            let json = serde_json::to_string(&state).ok()?;
            if self.last.as_ref() != Some(&json) {
                self.last = Some(json.clone());
                self.not_before = Instant::now() + PAUSE;
                return Some(json);
            }
        }
    }
}
