//! Measures this machine's memory, and what else weighs on it, now and then, off the runtime's threads.

use std::sync::Arc;
use std::time::Duration;

use cluster::Event;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::condition;
use crate::memory::Memory;

/// Other programs come and go in seconds; finer figures would only make nodes talk.
const INTERVAL: Duration = Duration::from_secs(5);
/// One measurement is current, an older one is worthless.
const MEASUREMENTS_MAX: usize = 1;

/// Measurements as they come.
pub(super) struct MemoryWatch {
    events: mpsc::Receiver<Event>,
    soon: Arc<Notify>,
}

/// The task that measures; it ends with this.
pub(super) struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl MemoryWatch {
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Measures at once: a worker has given memory back.
    pub(super) fn measure_soon(&self) {
        self.soon.notify_one();
    }
}

pub(super) fn start() -> (MemoryWatch, Watching) {
    let (sender, events) = mpsc::channel(MEASUREMENTS_MAX);
    let soon = Arc::new(Notify::new());
    let wake = Arc::clone(&soon);
    let task = tokio::spawn(async move {
        loop {
            // Woken early or not, it is time to measure.
            let _ = timeout(INTERVAL, wake.notified()).await;
            let measuring = || (Memory::measure(), condition::pressure());
            let Ok((memory, pressure)) = tokio::task::spawn_blocking(measuring).await else {
                continue;
            };
            if sender.send(Event::Pressure(pressure)).await.is_err() {
                return;
            }
            let Some(memory) = memory else {
                continue;
            };
            let event = Event::Memory {
                total_bytes: memory.total_bytes,
                available_bytes: memory.lendable_bytes(),
            };
            if sender.send(event).await.is_err() {
                return;
            }
        }
    });
    (MemoryWatch { events, soon }, Watching(task))
}
