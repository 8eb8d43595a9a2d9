//! What Portico counts, in Prometheus' format. No object names in labels.
use std::{sync::Mutex, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pass {
    kind: String,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    api: String,
    operation: String,
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Api {
    api: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DriftLabels {
    kind: String,
    outcome: String,
}

/// The metrics of one operator.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    passes: Family<Pass, Counter>,
    calls: Family<CallLabels, Counter>,
    durations: Family<Api, Histogram>,
    waits: Family<Api, Histogram>,
    throttled: Family<Api, Counter>,
    drift: Family<DriftLabels, Counter>,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("portico");
        let passes = Family::<Pass, Counter>::default();
        let calls = Family::<CallLabels, Counter>::default();
        let durations = Family::<Api, Histogram>::new_with_constructor(seconds);
        let waits = Family::<Api, Histogram>::new_with_constructor(seconds);
        let throttled = Family::<Api, Counter>::default();
        let drift = Family::<DriftLabels, Counter>::default();
        registry.register("reconciles", "Passes over resources, by kind and outcome", passes.clone());
        registry.register("remote_calls", "Requests to management APIs, by operation and status", calls.clone());
        registry.register_with_unit(
            "remote_call_duration",
            "How long requests to management APIs took",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register_with_unit(
            "gate_wait",
            "How long requests waited for their turn",
            Unit::Seconds,
            waits.clone(),
        );
        registry.register("rate_limit_closures", "How often an API asked for a pause", throttled.clone());
        registry.register("drift", "Changes by others at the API, by kind and what was done", drift.clone());
        Self { registry: Mutex::new(registry), passes, calls, durations, waits, throttled, drift }
    }
}

impl Metrics {
    /// A pass has ended.
    pub fn pass(&self, kind: &str, outcome: &str) {
        self.passes.get_or_create(&Pass { kind: kind.to_owned(), outcome: outcome.to_owned() }).inc();
    }

    /// A request was answered, or not.
    pub fn remote_call(&self, api: &str, operation: &str, status: Option<u16>, took: Duration) {
        let status = status.map_or_else(|| "none".to_owned(), |s| s.to_string());
        let labels = CallLabels { api: api.to_owned(), operation: operation.to_owned(), status };
        self.calls.get_or_create(&labels).inc();
        self.durations.get_or_create(&Api { api: api.to_owned() }).observe(took.as_secs_f64());
    }

    /// A request has waited for its turn.
    pub fn gate_wait(&self, api: &str, waited: Duration) {
        self.waits.get_or_create(&Api { api: api.to_owned() }).observe(waited.as_secs_f64());
    }

    /// An API asked for a pause.
    pub fn throttled(&self, api: &str) {
        self.throttled.get_or_create(&Api { api: api.to_owned() }).inc();
    }

    /// Someone else changed an object.
    pub fn drift(&self, kind: &str, outcome: &str) {
        self.drift.get_or_create(&DriftLabels { kind: kind.to_owned(), outcome: outcome.to_owned() }).inc();
    }

    /// Everything, as Prometheus reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}
