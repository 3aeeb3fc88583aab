//! How each read model stands, those that are building and old ones included.
//!
//! Beside these the live one of each projection has series by its name alone, which a switch does not break.

use super::collector::value;
use kronika_runtime::{ProjectionState, ProjectionStatus, Projections};
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Unit,
};
use std::fmt::Error;

/// A whole number, or one with a fraction.
enum Read {
    Whole(fn(&ProjectionStatus) -> u64),
    Real(fn(&ProjectionStatus) -> f64),
}

type Figure = (&'static str, &'static str, Option<Unit>, MetricType, Read);

const FIGURES: [Figure; 6] = [
    (
        "read_model_events",
        "Events that it has handled",
        None,
        MetricType::Counter,
        Read::Whole(|it| it.events),
    ),
    (
        "read_model_lag_events",
        "Events that it is behind",
        None,
        MetricType::Gauge,
        Read::Whole(|it| it.lag_events),
    ),
    (
        "read_model_lag",
        "Age of the oldest event that it is behind",
        Some(Unit::Seconds),
        MetricType::Gauge,
        Read::Real(|it| it.lag.as_secs_f64()),
    ),
    (
        "read_model_events_per_second",
        "Events that it handles in a second",
        None,
        MetricType::Gauge,
        Read::Real(|it| it.events_per_second),
    ),
    (
        "read_model_parked_keys",
        "Keys that wait, because an event of theirs could not be handled",
        None,
        MetricType::Gauge,
        Read::Whole(|it| it.parked.len() as u64),
    ),
    (
        "read_model_failed",
        "Whether its projection has failed",
        None,
        MetricType::Gauge,
        Read::Whole(|it| u64::from(it.state == ProjectionState::Failed)),
    ),
];

pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    projections: &Projections,
) -> Result<(), Error> {
    let all = projections.status_of_all();
    if all.is_empty() {
        return Ok(());
    }
    for (name, help, unit, kind, read) in &FIGURES {
        let mut figures = encoder.encode_descriptor(name, help, unit.as_ref(), *kind)?;
        for it in &all {
            let (generation, run) = (it.generation.to_string(), it.run.to_string());
            let labels = [
                ("projection", it.name.as_str()),
                ("generation", &generation),
                ("run", &run),
                ("stage", it.stage.name()),
            ];
            let figure = figures.encode_family(&labels)?;
            match read {
                Read::Whole(read) => value(*kind, read(it), figure)?,
                Read::Real(read) => ConstGauge::new(read(it)).encode(figure)?,
            }
        }
    }
    let (name, help) = ("projection_pages", "Pages read from the journal for all projections");
    let pages = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    value(MetricType::Counter, projections.readings(), pages)
}
