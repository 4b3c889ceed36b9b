//! What the workers of this node that drive an instance are doing, from what they count.

use std::time::Duration;

use base::{InstanceActivity, InstanceId, KeepAlive};
use tokio::time::Instant;
use wire::worker::Stats;

/// A report after a longer silence says nothing about speed: the worker was idle in between.
const RATE_SPAN_MAX: Duration = Duration::from_secs(3);

/// What an instance that this node drives is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Activity {
    /// Which.
    pub instance: InstanceId,
    /// Requests being computed.
    pub running: u32,
    /// Those of them whose prompt is still being read.
    pub reading: u32,
    /// Requests waiting.
    pub waiting: u32,
    /// Tokens generated per second, all requests together, over the last second or so; 0 when nothing runs.
    pub tokens_per_s: f64,
    /// Since when nobody asked for anything, milliseconds since 1970; `None` while somebody does.
    pub idle_since_ms: Option<u64>,
    /// How long it stays after that, as the last client that said so wants it.
    pub keep_alive: Option<KeepAlive>,
}

impl Activity {
    /// As other nodes are told it. `limit` is how long it stays if no client says so; `None` is for ever.
    pub(crate) fn told(&self, limit: Option<Duration>) -> InstanceActivity {
        InstanceActivity {
            instance: self.instance,
            reading: self.reading,
            answering: self.running.saturating_sub(self.reading),
            waiting: self.waiting,
            tokens_per_1000_s: (self.tokens_per_s * 1000.0) as u64,
            idle_since_ms: self.idle_since_ms,
            expires_ms: self.expires_ms(limit),
        }
    }

    /// Whether it has stayed for as long as it should.
    pub(crate) fn is_due(&self, limit: Option<Duration>, now_ms: u64) -> bool {
        self.expires_ms(limit).is_some_and(|at_ms| at_ms <= now_ms)
    }

    fn expires_ms(&self, limit: Option<Duration>) -> Option<u64> {
        let stays = match self.keep_alive {
            Some(KeepAlive::Forever) => None,
            Some(KeepAlive::For(time)) => Some(time),
            None => limit,
        };
        let stays_ms = u64::try_from(stays?.as_millis()).ok()?;
        self.idle_since_ms?.checked_add(stays_ms)
    }
}

/// Turns reports into an [`Activity`].
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) activity: Activity,
    counted: Option<(Instant, u64)>,
}

impl Meter {
    /// Of a worker that has just become ready.
    pub(super) fn new(instance: InstanceId, now_ms: u64) -> Self {
        let activity = Activity {
            instance,
            running: 0,
            reading: 0,
            waiting: 0,
            tokens_per_s: 0.0,
            idle_since_ms: Some(now_ms),
            keep_alive: None,
        };
        Self {
            activity,
            counted: None,
        }
    }

    /// A request came in. The worker reports it once it computes.
    pub(super) fn asked(&mut self, now_ms: u64) {
        let idle = &mut self.activity.idle_since_ms;
        *idle = idle.map(|_| now_ms);
    }

    /// Takes a report in. Speed is measured with a clock that nobody sets.
    pub(super) fn report(&mut self, stats: &Stats, now: Instant, now_ms: u64) {
        let before = self.counted.replace((now, stats.generated_tokens));
        let busy = stats.running + stats.waiting > 0;
        let rate = before.and_then(|(at, tokens)| {
            let span = now - at;
            let more = stats.generated_tokens.saturating_sub(tokens);
            (busy && span <= RATE_SPAN_MAX && !span.is_zero())
                .then(|| more as f64 / span.as_secs_f64())
        });
        let activity = &mut self.activity;
        activity.running = stats.running;
        activity.reading = stats.reading;
        activity.waiting = stats.waiting;
        activity.tokens_per_s = rate.unwrap_or(0.0);
        activity.idle_since_ms = if busy {
            None
        } else {
            activity.idle_since_ms.or(Some(now_ms))
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(running: u32, generated_tokens: u64) -> Stats {
        Stats {
            running,
            generated_tokens,
            ..Stats::default()
        }
    }

    #[test]
    fn speed_is_what_came_between_two_reports() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut meter = Meter::new(InstanceId(1), 10);
        assert_eq!(meter.activity.idle_since_ms, Some(10));
        meter.asked(11);
        assert_eq!(meter.activity.idle_since_ms, Some(11));
        meter.report(&stats(2, 10), after(1), 11);
        assert_eq!(meter.activity.idle_since_ms, None);
        assert_eq!(
            (meter.activity.running, meter.activity.tokens_per_s),
            (2, 0.0)
        );
        meter.report(&stats(2, 50), after(2), 12);
        assert!((meter.activity.tokens_per_s - 40.0).abs() < 1e-9);
        meter.report(&stats(0, 60), after(3), 13);
        assert!(meter.activity.tokens_per_s.abs() < f64::EPSILON);
        assert_eq!(meter.activity.idle_since_ms, Some(13));
        // A pause is not slowness.
        meter.report(&stats(1, 61), after(60), 70);
        assert!(meter.activity.tokens_per_s.abs() < f64::EPSILON);
        assert_eq!(meter.activity.idle_since_ms, None);
    }

    #[test]
    fn a_model_stays_as_long_as_its_clients_say_or_else_as_its_user() {
        let hour = Duration::from_hours(1);
        let mut activity = Meter::new(InstanceId(1), 1_000).activity;
        assert_eq!(activity.told(None).expires_ms, None);
        assert_eq!(activity.told(Some(hour)).expires_ms, Some(3_601_000));
        activity.keep_alive = Some(KeepAlive::Forever);
        assert_eq!(activity.told(Some(hour)).expires_ms, None);
        activity.keep_alive = Some(KeepAlive::For(Duration::ZERO));
        assert!(activity.is_due(None, 1_000) && !activity.is_due(None, 999));
        activity.keep_alive = Some(KeepAlive::For(Duration::MAX));
        assert!(!activity.is_due(None, u64::MAX));
        activity.keep_alive = Some(KeepAlive::For(Duration::ZERO));
        activity.idle_since_ms = None;
        assert!(!activity.is_due(None, u64::MAX), "somebody uses it");
    }
}
