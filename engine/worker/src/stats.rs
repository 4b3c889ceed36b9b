//! What the worker counts, and when it tells: at most once a second, and only what changed.

use std::time::{Duration, Instant};

use infer::Load;
use wire::worker::Stats;

use crate::masks::MaskTime;

/// Between two reports.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counts steps and their time.
#[derive(Default)]
pub struct Counters {
    steps: u64,
    step: Duration,
    host: Duration,
    /// When the last step ended; `None` after a pause, whose length is nobody's work.
    last_step_ended: Option<Instant>,
    told: Option<Instant>,
    changed: bool,
}

impl Counters {
    /// A step that began at `began` has just ended; how long it took.
    pub fn step(&mut self, began: Instant) -> Duration {
        let now = Instant::now();
        self.steps += 1;
        let took = now - began;
        self.step += took;
        if let Some(ended) = self.last_step_ended {
            self.host += began.saturating_duration_since(ended);
        }
        self.last_step_ended = Some(now);
        self.changed = true;
        took
    }

    /// A draft that began at `began` is made; how long it took. That is time of the device, and no step of its own.
    pub fn draft(&mut self, began: Instant) -> Duration {
        let now = Instant::now();
        self.step += now - began;
        if let Some(ended) = self.last_step_ended.replace(now) {
            self.host += began.saturating_duration_since(ended);
        }
        now - began
    }

    /// The device was idle until now.
    pub fn resume(&mut self) {
        self.last_step_ended = None;
    }

    /// How long until something must be told; `None` if nothing changed.
    pub fn told_in(&self) -> Option<Duration> {
        self.changed.then(|| {
            self.told
                .map_or(Duration::ZERO, |at| INTERVAL.saturating_sub(at.elapsed()))
        })
    }

    /// What to tell now, if it is time and something changed.
    pub fn due(&mut self, load: &Load, masks: MaskTime) -> Option<Stats> {
        if !self.told_in().is_some_and(|wait| wait.is_zero()) {
            return None;
        }
        self.changed = false;
        self.told = Some(Instant::now());
        Some(Stats {
            running: load.running,
            reading: load.reading,
            waiting: load.waiting,
            cache_tokens_reserved: load.cache_tokens_reserved,
            steps: self.steps,
            prompt_tokens: load.prompt_tokens,
            generated_tokens: load.generated_tokens,
            guessed_tokens: load.guessed_tokens,
            accepted_tokens: load.accepted_tokens,
            step_us: self.step.as_micros() as u64,
            host_us: self.host.as_micros() as u64,
            mask_us: masks.worked.as_micros() as u64,
            mask_wait_us: masks.waited.as_micros() as u64,
        })
    }
}
