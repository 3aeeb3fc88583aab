//! What is counted of requests: how many by method, route and status, and how long they took by route.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::time::Duration;

type Labels<const N: usize> = [(&'static str, String); N];

/// Counters of requests.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<Labels<3>, Counter>,
    durations: Family<Labels<1>, Histogram, fn() -> Histogram>,
}

/// A request that was answered.
pub(crate) struct Observed<'a> {
    pub method: &'a str,
    pub route: &'a str,
    pub status: u16,
    pub took: Duration,
}

impl Metrics {
    pub fn new() -> Self {
        let durations: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self { requests: Family::default(), durations: Family::new_with_constructor(durations) }
    }

    pub fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from a request's headers to its answer's headers",
            Unit::Seconds,
            self.durations.clone(),
        );
    }

    pub fn observe(&self, observed: &Observed<'_>) {
        let Observed { method, route, status, took } = *observed;
        let labels =
            [("method", method.into()), ("route", route.into()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
        let labels = [("route", route.to_owned())];
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// Seconds: from a durable write on a fast disk to the longest wait for a token.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
