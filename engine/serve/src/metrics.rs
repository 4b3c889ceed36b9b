//! What Prometheus can ask: requests, answers, tokens. Others add gauges of their own to the same registry.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The registry behind `/metrics`; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a gauge, named `espalier_<name>`; `help` is one sentence without a final stop. Call once for each name.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register(format!("espalier_{name}"), help, gauge.clone());
        gauge
    }
}
