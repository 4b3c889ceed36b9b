//! Runs a response: in the request's own time, so that it ends with its client, or in the background.

use std::sync::Arc;

use base::{Failure, GenerateEvent};
use futures::{Stream, StreamExt, stream};
use serde_json::Value;
use tokio::sync::watch;

use super::kept::Kept;
use super::record::Record;
use crate::app::App;
use crate::generation::Events;

/// A response under way. Dropped before its end, it is cancelled.
pub(super) struct Running {
    app: Arc<App>,
    generation: Events,
    kept: Arc<Kept>,
    /// Why it failed, if it did.
    pub(super) failure: Option<Failure>,
    over: bool,
}

impl Running {
    /// Waits for the first event: a failure before it is the request's own. With what is to be told at first.
    pub(super) async fn begin(
        app: Arc<App>,
        mut generation: Events,
        kept: Arc<Kept>,
    ) -> Result<(Self, Vec<Value>), Failure> {
        let first = generation.next().await.transpose()?;
        let mut running = Self {
            app,
            generation,
            kept,
            failure: None,
            over: false,
        };
        let mut told = running.kept.change(false, Record::begin);
        if let Some((_, event)) = first {
            told.extend(running.hear(Ok(event)));
        }
        Ok((running, told))
    }

    /// What is to be told next; `None` after the end.
    pub(super) async fn next(&mut self) -> Option<Vec<Value>> {
        if self.over {
            return None;
        }
        let event = self.generation.next().await?;
        Some(self.hear(event.map(|(_, event)| event)))
    }

    fn hear(&mut self, event: Result<GenerateEvent, Failure>) -> Vec<Value> {
        match event {
            Ok(event) => {
                let now = self.app.gateway.unix_milliseconds() / 1000;
                self.over = matches!(event, GenerateEvent::Finished { .. });
                self.kept
                    .change(self.over, |record| record.hear(event, now))
            }
            Err(failure) => {
                self.over = true;
                let told = self.kept.change(true, |record| record.fail(&failure));
                self.failure = Some(failure);
                told
            }
        }
    }

    /// All that is still to be told, as it happens.
    pub(super) fn events(self, first: Vec<Value>) -> impl Stream<Item = Value> + Send {
        let rest = stream::unfold(self, |mut running| async move {
            let told = running.next().await?;
            Some((stream::iter(told), running))
        });
        stream::iter(first).chain(rest.flatten())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.over {
            self.kept.cancel();
        }
    }
}

/// Runs a response to its end, whoever listens.
pub(super) fn in_background(app: Arc<App>, generation: Events, kept: Arc<Kept>) {
    let mut stopping = app.stopping.clone();
    tokio::spawn(async move {
        let wanted = Arc::clone(&kept);
        let driving = async {
            match Running::begin(app, generation, Arc::clone(&kept)).await {
                Ok((mut running, _)) => while running.next().await.is_some() {},
                Err(failure) => {
                    kept.change(true, |record| record.fail(&failure));
                }
            }
        };
        tokio::select! {
            () = driving => {}
            () = wanted.cancelled() => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    });
}

/// The events of a response in the background from number `from` on, until its end or the server's.
pub(super) fn follow(
    kept: Arc<Kept>,
    from: usize,
    stopping: watch::Receiver<bool>,
) -> impl Stream<Item = Value> + Send {
    let changes = kept.changes();
    let reader = (kept, from, changes, stopping);
    let pieces = stream::unfold(
        reader,
        |(kept, from, mut changes, mut stopping)| async move {
            loop {
                changes.mark_unchanged();
                let (events, goes_on) = kept.events(from);
                if !events.is_empty() {
                    let from = from + events.len();
                    return Some((stream::iter(events), (kept, from, changes, stopping)));
                }
                if !goes_on {
                    return None;
                }
                tokio::select! {
                    news = changes.changed() => news.ok()?,
                    _ = stopping.wait_for(|stopping| *stopping) => return None,
                }
            }
        },
    );
    pieces.flatten()
}
