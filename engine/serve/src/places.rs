//! How many connections there are at once, and of whom: other computers never take all places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::guard::Caller;

/// Each holds a socket, a task and at most one body. More clients than this on one machine are a mistake or an
/// attack; they wait in the system's queue until another hangs up.
const CONNECTIONS_MAX: usize = 512;
/// Of these so many may be of other computers: however many of them there are, this one still gets through.
const CONNECTIONS_ELSEWHERE_MAX: usize = 384;
/// And so many of one address: a browser keeps six, a pool of a program a few dozen.
const CONNECTIONS_OF_ONE_MAX: usize = 128;

/// The places. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    elsewhere: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    _permit: Option<OwnedSemaphorePermit>,
    address: Option<IpAddr>,
}

impl Places {
    pub(crate) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            elsewhere: Arc::default(),
        }
    }

    /// Waits for a place that is free.
    pub(crate) async fn next(&self) -> Place {
        Place {
            places: self.clone(),
            // The semaphore is never closed; were it, connections would still be answered.
            _permit: self.all.clone().acquire_owned().await.ok(),
            address: None,
        }
    }

    fn elsewhere(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // No code that holds the lock can panic half-way through a change.
        self.elsewhere
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether whoever has connected may have it. Asked once for each connection, until one may.
    pub(crate) fn is_for(&mut self, caller: Caller) -> bool {
        let Some(address) = caller.elsewhere() else {
            return true;
        };
        let mut elsewhere = self.places.elsewhere();
        let of_one = elsewhere.get(&address).copied().unwrap_or(0);
        let of_all: usize = elsewhere.values().sum();
        if of_one >= CONNECTIONS_OF_ONE_MAX || of_all >= CONNECTIONS_ELSEWHERE_MAX {
            return false;
        }
        elsewhere.insert(address, of_one + 1);
        drop(elsewhere);
        self.address = Some(address);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else {
            return;
        };
        let mut elsewhere = self.places.elsewhere();
        if let Some(count) = elsewhere.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                elsewhere.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(places: &Places, address: IpAddr) -> Option<Place> {
        let mut place = places.next().await;
        place.is_for(Caller::new(address)).then_some(place)
    }

    #[tokio::test]
    async fn other_computers_never_take_all_places() {
        let places = Places::new();
        let mut held = Vec::new();
        for last in 1..=8 {
            let address = IpAddr::from([10, 0, 0, last]);
            while let Some(place) = taken(&places, address).await {
                held.push(place);
            }
        }
        assert_eq!(held.len(), CONNECTIONS_ELSEWHERE_MAX);
        let here = IpAddr::from([127, 0, 0, 1]);
        let mut mine = Vec::new();
        for _ in CONNECTIONS_ELSEWHERE_MAX..CONNECTIONS_MAX {
            mine.push(taken(&places, here).await.unwrap());
        }
        held.clear();
        assert!(places.elsewhere().is_empty());
        let address = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..CONNECTIONS_OF_ONE_MAX {
            held.push(taken(&places, address).await.unwrap());
        }
        assert!(taken(&places, address).await.is_none());
        assert!(taken(&places, IpAddr::from([10, 0, 0, 2])).await.is_some());
    }
}
