//! `GET /metrics`: what Prometheus reads. A registry for each service, nothing global.
//!
//! Labels hold names that the program knows (types, routes, projections), never ids or anything else that a
//! client chooses: their number is bounded.

mod collector;
mod requests;

pub(crate) use requests::{Metrics, Observed};

use crate::shared::Shared;
use axum::{
    http::{
        HeaderMap,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use collector::ServiceCollector;
use prometheus_client::{encoding::text::encode, registry::Registry};
use std::sync::Arc;

const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The registry of a service: its requests, its aggregates and its projections.
pub(crate) fn registry(shared: &Arc<Shared>) -> Registry {
    let mut registry = Registry::with_prefix("kronika");
    shared.metrics.register(&mut registry);
    registry.register_collector(Box::new(ServiceCollector::new(shared.clone())));
    registry
}

/// All figures as text. The text is the same for both content types: what OpenMetrics adds, the older form
/// takes for comments.
pub(crate) fn told(registry: &Registry, headers: &HeaderMap) -> Response {
    let mut text = String::new();
    encode(&mut text, registry).expect("a string takes any text");
    let accepts = |accept: &str| accept.contains(OPEN_METRICS);
    let open = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(accepts);
    ([(CONTENT_TYPE, if open { OPEN_METRICS_TYPE } else { PLAIN_TYPE })], text).into_response()
}
