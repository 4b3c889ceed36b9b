//! What a worker does with its memory while there is nothing to compute.

use std::time::Duration;

/// Nobody who is in the middle of a conversation waits for this long.
const AFTER: Duration = Duration::from_secs(5);

/// What `wait` comes back with, given its longest time; where that is nothing for a while, memory is given back
/// and it waits for ever.
pub fn wait<T>(wait: impl Fn(Option<Duration>) -> Option<T>) -> Option<T> {
    wait(Some(AFTER)).or_else(|| {
        models::memory::give_back();
        wait(None)
    })
}
