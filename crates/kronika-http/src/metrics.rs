//! `GET /metrics`: what Prometheus reads. A registry for each service, nothing global.
//!
//! Labels hold names that the program knows (types, routes, projections), never ids or anything else that a
//! client chooses: their number is bounded.

mod collector;
mod read_models;
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
use std::{collections::HashSet, sync::Arc};

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

/// All figures as text: as OpenMetrics to who asks for it, else in the older form.
pub(crate) fn told(registry: &Registry, headers: &HeaderMap) -> Response {
    let mut text = String::new();
    encode(&mut text, registry).expect("a string takes any text");
    let accepts = |accept: &str| accept.contains(OPEN_METRICS);
    if headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(accepts) {
        return ([(CONTENT_TYPE, OPEN_METRICS_TYPE)], text).into_response();
    }
    ([(CONTENT_TYPE, PLAIN_TYPE)], plain(&text)).into_response()
}

/// The older form knows no units and no end, and calls a counter by the name of its figure.
fn plain(text: &str) -> String {
    let counters = text.lines().filter_map(|line| {
        line.strip_prefix("# TYPE ").and_then(|line| line.strip_suffix(" counter"))
    });
    let counters: HashSet<_> = counters.collect();
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let line = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                &format!("# {what} {name}_total {rest}")
            }
            _ => line,
        };
        plain.push_str(line);
        plain.push('\n');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_form_names_counters_as_their_figures() {
        let open = "# HELP a Some a.\n# TYPE a counter\na_total{x=\"y z\"} 1\n# TYPE b_s gauge\n\
                    # UNIT b_s s\nb_s 2\n# EOF\n";
        let expected = "# HELP a_total Some a.\n# TYPE a_total counter\na_total{x=\"y z\"} 1\n\
                        # TYPE b_s gauge\nb_s 2\n";
        assert_eq!(plain(open), expected);
    }
}
