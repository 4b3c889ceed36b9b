//! What the workers of this node that drive an instance are doing, from what they count.

use std::time::Duration;

use base::{InstanceActivity, InstanceId};
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
    /// Since when nobody asked for anything; `None` while somebody does.
    pub idle_since: Option<Instant>,
}

impl Activity {
    /// As other nodes are told it; nothing while nobody asks for anything.
    pub(crate) fn told(&self) -> Option<InstanceActivity> {
        (self.running + self.waiting > 0).then(|| InstanceActivity {
            instance: self.instance,
            reading: self.reading,
            answering: self.running.saturating_sub(self.reading),
            waiting: self.waiting,
            tokens_per_1000_s: (self.tokens_per_s * 1000.0) as u64,
        })
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
    pub(super) fn new(instance: InstanceId, now: Instant) -> Self {
        let activity = Activity {
            instance,
            running: 0,
            reading: 0,
            waiting: 0,
            tokens_per_s: 0.0,
            idle_since: Some(now),
        };
        Self {
            activity,
            counted: None,
        }
    }

    /// A request came in. The worker reports it once it computes.
    pub(super) fn asked(&mut self, now: Instant) {
        let idle = &mut self.activity.idle_since;
        *idle = idle.map(|_| now);
    }

    /// Takes a report in.
    pub(super) fn report(&mut self, stats: &Stats, now: Instant) {
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
        activity.idle_since = if busy {
            None
        } else {
            activity.idle_since.or(Some(now))
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
        let mut meter = Meter::new(InstanceId(1), start);
        assert_eq!(meter.activity.idle_since, Some(start));
        meter.asked(after(1));
        assert_eq!(meter.activity.idle_since, Some(after(1)));
        meter.report(&stats(2, 10), after(1));
        assert_eq!(meter.activity.idle_since, None);
        assert_eq!(
            (meter.activity.running, meter.activity.tokens_per_s),
            (2, 0.0)
        );
        meter.report(&stats(2, 50), after(2));
        assert!((meter.activity.tokens_per_s - 40.0).abs() < 1e-9);
        meter.report(&stats(0, 60), after(3));
        assert!(meter.activity.tokens_per_s.abs() < f64::EPSILON);
        assert_eq!(meter.activity.idle_since, Some(after(3)));
        // A pause is not slowness.
        meter.report(&stats(1, 61), after(60));
        assert!(meter.activity.tokens_per_s.abs() < f64::EPSILON);
        assert_eq!(meter.activity.idle_since, None);
    }
}
