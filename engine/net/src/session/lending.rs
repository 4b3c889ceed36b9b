//! Lending bytes of files to members: a few at once for each and for all, only as fast as they are taken, and to nobody who
//! is no member any more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base::{BytesAsked, NodeId};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::StatusCode;
use hyper::rt::Executor;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::http::{Body, SessionTasks, queued};
use super::{Context, ProvenBy};
use crate::limits::{FILES_IDLE, FILES_TIMEOUT, LENT_MAX, LENT_PER_PEER_MAX, TAKE_TIMEOUT};

/// How many files are being read for whom.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<NodeId, usize>>>);

/// One of them. Given back on drop.
#[derive(Debug)]
struct Place {
    places: Places,
    node: NodeId,
}

/// Who asks, and on which session.
pub(super) struct Borrower {
    pub(super) node: NodeId,
    pub(super) by: ProvenBy,
    /// Counts what is lent on the session.
    pub(super) lent: Arc<AtomicU64>,
}

impl Places {
    fn take(&self, node: NodeId) -> Option<Place> {
        // The table is whole between any two statements, so a panic elsewhere does not spoil it.
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = table.get(&node).copied().unwrap_or(0);
        if own >= LENT_PER_PEER_MAX || table.values().sum::<usize>() >= LENT_MAX {
            return None;
        }
        table.insert(node, own + 1);
        drop(table);
        Some(Place {
            places: self.clone(),
            node,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let table = &self.places.0;
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = table.get_mut(&self.node) {
            *own -= 1;
            if *own == 0 {
                table.remove(&self.node);
            }
        }
    }
}

impl Borrower {
    fn may(&self, context: &Context) -> bool {
        match self.by {
            ProvenBy::Key => true,
            ProvenBy::Roster => context.are_members(self.node).is_ok(),
        }
    }
}

/// A body of the bytes that were asked for, or why there is none.
pub(super) async fn bytes(
    context: &Arc<Context>,
    borrower: Borrower,
    asked: BytesAsked,
    tasks: &SessionTasks,
) -> Result<Body, StatusCode> {
    borrower.lent.fetch_add(1, Ordering::Relaxed);
    if !borrower.may(context) {
        return Err(StatusCode::FORBIDDEN);
    }
    let place = context.lending.take(borrower.node);
    let place = place.ok_or(StatusCode::TOO_MANY_REQUESTS)?;
    let found = context.handler.bytes(borrower.node, asked).await;
    let pieces = found.ok_or(StatusCode::NOT_FOUND)?;
    // One waits while the one before it is on its way.
    let (sender, queue) = mpsc::channel(1);
    let context = Arc::clone(context);
    tasks.execute(async move {
        let _place = place;
        lend(&context, &borrower, pieces, sender).await;
    });
    Ok(queued(queue))
}

/// Hands out pieces until there are no more, or nobody takes them. The other end sees an early end as one.
async fn lend(
    context: &Context,
    borrower: &Borrower,
    mut pieces: BoxStream<'static, Bytes>,
    sender: mpsc::Sender<Bytes>,
) {
    while let Ok(Some(piece)) = timeout(FILES_TIMEOUT, pieces.next()).await {
        if !borrower.may(context) {
            return;
        }
        match timeout(TAKE_TIMEOUT, sender.send(piece)).await {
            Ok(Ok(())) => borrower.lent.fetch_add(1, Ordering::Relaxed),
            Ok(Err(_)) | Err(_) => return,
        };
    }
}

/// Returns when nothing has been lent for a while.
pub(super) async fn until_idle(lent: &AtomicU64) {
    let mut before = 0;
    // Ends when nobody asks for anything any more.
    loop {
        let now = lent.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
        sleep(FILES_IDLE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_all_places() {
        let places = Places::default();
        let node = |number: u8| NodeId([number; 32]);
        let mut taken: Vec<Place> = (0..LENT_PER_PEER_MAX)
            .filter_map(|_| places.take(node(0)))
            .collect();
        assert_eq!(taken.len(), LENT_PER_PEER_MAX);
        assert!(places.take(node(0)).is_none());
        let others = (1..=255).flat_map(|number| [number; LENT_PER_PEER_MAX]);
        taken.extend(others.filter_map(|number| places.take(node(number))));
        assert_eq!(taken.len(), LENT_MAX);
        taken.remove(0);
        assert!(places.take(node(200)).is_some());
        taken.clear();
        assert!(places.0.lock().unwrap().is_empty());
    }
}
