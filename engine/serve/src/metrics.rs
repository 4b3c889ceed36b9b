//! What Prometheus can ask: requests, answers, tokens. Others add gauges of their own to the same registry. Beside the
//! counts are the recent calls, which the dashboard lists.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::Usage;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
pub use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::calls::Calls;

/// Counts seconds.
pub type SecondsCounter = Counter<f64, AtomicU64>;

/// From a small model's warm cache to a long prompt on a slow machine, in seconds.
const FIRST_TOKEN_SECONDS: [f64; 14] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0,
];

/// The registry behind `/metrics`; clones share it.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    requests: Family<Answered, Counter>,
    in_flight: Gauge,
    first_token_seconds: Histogram,
    prompt_tokens: Counter,
    generated_tokens: Counter,
    calls: Calls,
}

/// What tells one count of requests from another. Both have few values: routes are patterns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    status: u32,
}

/// Counts as a request that is being answered until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Metrics {
    /// A registry with the server's own metrics.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Arc::default(),
            requests: Family::default(),
            in_flight: Gauge::default(),
            first_token_seconds: Histogram::new(FIRST_TOKEN_SECONDS),
            prompt_tokens: Counter::default(),
            generated_tokens: Counter::default(),
            calls: Calls::default(),
        };
        metrics.with_registry(|registry| {
            let requests = metrics.requests.clone();
            registry.register("espalier_requests", "Requests answered", requests);
            let in_flight = metrics.in_flight.clone();
            registry.register(
                "espalier_requests_in_flight",
                "Requests being answered",
                in_flight,
            );
            registry.register(
                "espalier_first_token_seconds",
                "Time from a request to the first token of its answer",
                metrics.first_token_seconds.clone(),
            );
            let prompt = metrics.prompt_tokens.clone();
            registry.register(
                "espalier_prompt_tokens",
                "Tokens of prompts answered",
                prompt,
            );
            let generated = metrics.generated_tokens.clone();
            registry.register("espalier_generated_tokens", "Tokens generated", generated);
        });
        metrics
    }

    /// Adds a gauge, named `espalier_<name>`; `help` is one sentence without a final stop. Call once for each name.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.with_registry(|registry| {
            registry.register(format!("espalier_{name}"), help, gauge.clone());
        });
        gauge
    }

    /// Adds a counter of seconds, named `espalier_<name>_seconds`; otherwise as [`gauge`](Self::gauge).
    pub fn seconds(&self, name: &str, help: &str) -> SecondsCounter {
        let counter = SecondsCounter::default();
        self.with_registry(|registry| {
            registry.register(format!("espalier_{name}_seconds"), help, counter.clone());
        });
        counter
    }

    /// Adds a counter, named `espalier_<name>`; otherwise as [`gauge`](Self::gauge).
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.with_registry(|registry| {
            registry.register(format!("espalier_{name}"), help, counter.clone());
        });
        counter
    }

    /// The recent calls.
    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    pub(crate) fn answered(&self, route: &str, status: u16) {
        let labels = Answered {
            route: route.to_string(),
            status: status.into(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(crate) fn first_token(&self, after: Duration) {
        self.first_token_seconds.observe(after.as_secs_f64());
    }

    pub(crate) fn tokens(&self, usage: Usage) {
        self.prompt_tokens.inc_by(usage.prompt_tokens.into());
        self.generated_tokens.inc_by(usage.completion_tokens.into());
    }

    /// All of it as `OpenMetrics` text.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        self.with_registry(|registry| encode(&mut text, registry))?;
        Ok(text)
    }

    fn with_registry<T>(&self, act: impl FnOnce(&mut Registry) -> T) -> T {
        // A panic elsewhere leaves the registry as whole as before: it only holds names and handles.
        act(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn everything_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.gauge("nodes", "Nodes online").set(3);
        metrics.answered("/v1/models", 200);
        metrics.first_token(Duration::from_millis(300));
        metrics.tokens(Usage {
            prompt_tokens: 5,
            completion_tokens: 7,
            ..Usage::default()
        });
        let _flying = metrics.in_flight();
        drop(metrics.in_flight());
        expect![[r#"
            # HELP espalier_requests Requests answered.
            # TYPE espalier_requests counter
            espalier_requests_total{route="/v1/models",status="200"} 1
            # HELP espalier_requests_in_flight Requests being answered.
            # TYPE espalier_requests_in_flight gauge
            espalier_requests_in_flight 1
            # HELP espalier_first_token_seconds Time from a request to the first token of its answer.
            # TYPE espalier_first_token_seconds histogram
            espalier_first_token_seconds_sum 0.3
            espalier_first_token_seconds_count 1
            espalier_first_token_seconds_bucket{le="0.01"} 0
            espalier_first_token_seconds_bucket{le="0.025"} 0
            espalier_first_token_seconds_bucket{le="0.05"} 0
            espalier_first_token_seconds_bucket{le="0.1"} 0
            espalier_first_token_seconds_bucket{le="0.25"} 0
            espalier_first_token_seconds_bucket{le="0.5"} 1
            espalier_first_token_seconds_bucket{le="1.0"} 1
            espalier_first_token_seconds_bucket{le="2.5"} 1
            espalier_first_token_seconds_bucket{le="5.0"} 1
            espalier_first_token_seconds_bucket{le="10.0"} 1
            espalier_first_token_seconds_bucket{le="30.0"} 1
            espalier_first_token_seconds_bucket{le="60.0"} 1
            espalier_first_token_seconds_bucket{le="180.0"} 1
            espalier_first_token_seconds_bucket{le="600.0"} 1
            espalier_first_token_seconds_bucket{le="+Inf"} 1
            # HELP espalier_prompt_tokens Tokens of prompts answered.
            # TYPE espalier_prompt_tokens counter
            espalier_prompt_tokens_total 5
            # HELP espalier_generated_tokens Tokens generated.
            # TYPE espalier_generated_tokens counter
            espalier_generated_tokens_total 7
            # HELP espalier_nodes Nodes online.
            # TYPE espalier_nodes gauge
            espalier_nodes 3
            # EOF
        "#]].assert_eq(&metrics.text().unwrap());
    }
}
