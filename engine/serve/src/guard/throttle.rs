//! How much each caller on another computer may ask: so many requests a second, with a reserve for bursts, and so many
//! at once. A caller is a key, or without one an address. From this computer nothing is counted: who can run programs
//! here has easier ways to keep it busy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::{ErrorCode, Failure};

/// Requests a second in the long run. A person's tools send a few; agents in parallel a dozen.
const PER_SECOND: f64 = 20.0;
/// Requests that may come at once after a pause: a page that loads, a batch that starts.
const BURST: f64 = 100.0;
/// Requests under way. More than a model answers at once; the rest of a batch can wait where it is.
const AT_ONCE_MAX: u32 = 64;
/// Nobody knows when another request ends; a second is not long for anybody.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Callers remembered. One that asks for nothing is forgotten when there are more.
const CALLERS_MAX: usize = 4096;

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// A key, by its id.
    Key(String),
    /// Somebody without one.
    Address(IpAddr),
}

/// Everybody's allowances. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throttle {
    callers: Arc<Mutex<HashMap<Who, Allowance>>>,
}

/// Why a request has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Throttled {
    /// Too many a second; this long from now there is room for one.
    TooFast(Duration),
    /// Too many under way.
    TooMany,
}

impl Throttled {
    /// For whoever has to wait.
    pub(super) fn failure(self) -> Failure {
        let message = match self {
            Self::TooFast(_) => {
                format!("more than {PER_SECOND} requests a second are too many for one caller")
            }
            Self::TooMany => format!("{AT_ONCE_MAX} requests at once are enough for one caller"),
        };
        let hint = "try again in a moment, or let programs on different computers have a key each";
        let failure = Failure::new(ErrorCode::Overloaded, message).hint(hint);
        failure.retry_after(self.retry_after())
    }

    /// When to try again.
    fn retry_after(self) -> Duration {
        match self {
            Self::TooFast(wait) => wait,
            Self::TooMany => RETRY_AFTER,
        }
    }
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    throttle: Throttle,
    who: Who,
}

#[derive(Debug)]
struct Allowance {
    reserve: f64,
    counted: Instant,
    at_once: u32,
}

impl Throttle {
    /// Lets a request in, or says what it has to wait for.
    pub(crate) fn admit(&self, who: &Who, now: Instant) -> Result<Admitted, Throttled> {
        self.with(|callers| {
            if callers.len() >= CALLERS_MAX && !callers.contains_key(who) {
                callers.retain(|_, one| !one.is_fresh(now));
                if callers.len() >= CALLERS_MAX {
                    return Err(Throttled::TooMany);
                }
            }
            let allowance = callers.entry(who.clone());
            allowance.or_insert_with(|| Allowance::full(now)).take(now)
        })?;
        Ok(Admitted {
            throttle: self.clone(),
            who: who.clone(),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Who, Allowance>) -> T) -> T {
        // No code that holds the lock can panic half-way through a change.
        act(&mut self.callers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.throttle.with(|callers| {
            if let Some(allowance) = callers.get_mut(&self.who) {
                allowance.at_once = allowance.at_once.saturating_sub(1);
            }
        });
    }
}

impl Allowance {
    fn full(now: Instant) -> Self {
        Self {
            reserve: BURST,
            counted: now,
            at_once: 0,
        }
    }

    fn take(&mut self, now: Instant) -> Result<(), Throttled> {
        self.reserve = self.reserve_at(now);
        self.counted = now;
        if self.at_once >= AT_ONCE_MAX {
            return Err(Throttled::TooMany);
        }
        if self.reserve < 1.0 {
            let wait_s = (1.0 - self.reserve) / PER_SECOND;
            return Err(Throttled::TooFast(Duration::from_secs_f64(wait_s)));
        }
        self.reserve -= 1.0;
        self.at_once += 1;
        Ok(())
    }

    fn reserve_at(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.counted);
        (self.reserve + passed.as_secs_f64() * PER_SECOND).min(BURST)
    }

    /// Forgetting it would change nothing.
    fn is_fresh(&self, now: Instant) -> bool {
        self.at_once == 0 && self.reserve_at(now) >= BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Who {
        Who::Key(name.to_owned())
    }

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for request in 0..BURST as usize {
            assert!(throttle.admit(&key("a"), start).is_ok(), "{request}");
        }
        let Err(Throttled::TooFast(wait)) = throttle.admit(&key("a"), start) else {
            panic!("more than a burst");
        };
        assert_eq!(wait, Duration::from_millis(50));
        assert!(
            throttle.admit(&key("b"), start).is_ok(),
            "another's is its own"
        );
        assert!(throttle.admit(&key("a"), start + wait).is_ok());
        assert!(throttle.admit(&key("a"), start + wait).is_err());
    }

    #[test]
    fn so_many_at_once() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let all =
            (0..u64::from(AT_ONCE_MAX)).map(|second| throttle.admit(&key("a"), after(second)));
        let mut all: Vec<_> = all.collect::<Result<_, _>>().unwrap();
        let refused = throttle.admit(&key("a"), after(100)).unwrap_err();
        assert_eq!(refused, Throttled::TooMany);
        all.pop();
        assert!(throttle.admit(&key("a"), after(100)).is_ok());
    }

    #[test]
    fn callers_that_ask_nothing_are_forgotten() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let address = |number: usize| Who::Address(IpAddr::from((number as u32).to_be_bytes()));
        for number in 0..CALLERS_MAX {
            throttle.admit(&address(number), start).unwrap();
        }
        let one_more = address(CALLERS_MAX);
        assert!(throttle.admit(&one_more, start).is_err());
        assert!(
            throttle
                .admit(&one_more, start + Duration::from_secs(1))
                .is_ok()
        );
        assert!(throttle.with(|callers| callers.len()) < CALLERS_MAX);
    }
}
