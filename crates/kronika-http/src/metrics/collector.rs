//! What the runtime and the projections count of themselves, read when Prometheus asks.

use super::read_models;
use crate::shared::Shared;
use kronika_runtime::{ProjectionState, ProjectionStatus, Standing, Stats};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use std::{
    fmt::{self, Error},
    sync::Arc,
};

pub(super) struct ServiceCollector(Arc<Shared>);

impl ServiceCollector {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl fmt::Debug for ServiceCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceCollector").finish_non_exhaustive()
    }
}

/// A figure of something that has a name.
struct Figure<T> {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    read: fn(&T) -> u64,
}

const fn counter<T>(name: &'static str, help: &'static str, read: fn(&T) -> u64) -> Figure<T> {
    Figure { name, help, kind: MetricType::Counter, read }
}

const fn gauge<T>(name: &'static str, help: &'static str, read: fn(&T) -> u64) -> Figure<T> {
    Figure { name, help, kind: MetricType::Gauge, read }
}

const AGGREGATES: [Figure<Stats>; 16] = [
    counter("commands", "Commands answered, in whatever way", |it| it.commands),
    counter("commands_accepted", "Commands accepted", |it| it.accepted),
    counter("commands_rejected", "Commands rejected by the aggregate", |it| it.rejected),
    counter("commands_failed", "Commands answered with another error", |it| it.failed),
    counter("commands_replayed", "Receipts given again to a repeated key", |it| it.replayed),
    counter("reads", "States read through the mailbox", |it| it.reads),
    counter("events", "Events recorded", |it| it.events),
    counter("appends", "Appends in groups sent to the journal", |it| it.appends),
    counter("groups", "Groups sent to the journal", |it| it.groups),
    counter("loadings", "Aggregates loaded", |it| it.loadings),
    counter("recoveries", "Conflicts, failed appends, unknown outcomes", |it| it.recoveries),
    gauge("residents", "Aggregates in memory", |it| it.residents),
    gauge("resident_bytes", "Their weight in bytes", |it| it.resident_bytes),
    counter("passivations", "Residents let go", |it| it.passivations),
    counter("slow_handlers", "Handlers that took longer than the limit", |it| it.slow_handlers),
    counter("panics", "Panics in handlers, in apply and in replies", |it| it.panics),
];

const PROJECTIONS: [Figure<ProjectionStatus>; 3] = [
    counter("projection_events", "Events that it has handled", |it| it.events),
    gauge("projection_lag_events", "Events that it is behind", |it| it.lag_events),
    gauge("projection_failed", "Whether it has failed", |it| {
        u64::from(it.state == ProjectionState::Failed)
    }),
];

impl Collector for ServiceCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let shared = &*self.0;
        let registered = shared.kronika.registered();
        let stats: Vec<_> = registered.iter().map(|it| (it.aggregate_type(), it.stats())).collect();
        let named: Vec<_> = stats.iter().map(|(name, stats)| (*name, stats)).collect();
        write(&mut encoder, "type", &AGGREGATES, &named)?;
        let running = shared.kronika.projections().status();
        let named: Vec<_> = running.iter().map(|it| (it.name.as_str(), it)).collect();
        write(&mut encoder, "projection", &PROJECTIONS, &named)?;
        projections(&mut encoder, &running)?;
        read_models::encode(&mut encoder, shared.kronika.projections())?;
        let owner = u64::from(shared.standing() == Standing::Owner);
        alone(&mut encoder, "owner", "Whether this process may write to the journal", owner)?;
        let open = shared.limits.feeds.saturating_sub(shared.feeds.available_permits());
        alone(&mut encoder, "http_feeds", "Live feeds that are open", open as u64)
    }
}

fn write<T>(
    encoder: &mut DescriptorEncoder<'_>,
    label: &str,
    figures: &[Figure<T>],
    named: &[(&str, &T)],
) -> Result<(), Error> {
    for figure in figures.iter().filter(|_| !named.is_empty()) {
        let mut all = encoder.encode_descriptor(figure.name, figure.help, None, figure.kind)?;
        for (name, from) in named {
            let labels = [(label, *name)];
            value(figure.kind, (figure.read)(from), all.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// How far each has come in each partition, how old what it is behind is, and what it does.
fn projections(
    encoder: &mut DescriptorEncoder<'_>,
    projections: &[ProjectionStatus],
) -> Result<(), Error> {
    if projections.is_empty() {
        return Ok(());
    }
    let (name, help) = ("projection_position", "Position that it has come to");
    let mut all = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for it in projections {
        for mark in it.seen.marks() {
            let partition = mark.partition.to_string();
            let labels = [("projection", it.name.as_str()), ("partition", &partition)];
            value(MetricType::Gauge, mark.position.get(), all.encode_family(&labels)?)?;
        }
    }
    let (name, help) = ("projection_lag", "Age of the oldest event that it is behind");
    let mut all = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
    for it in projections {
        let labels = [("projection", it.name.as_str())];
        ConstGauge::new(it.lag.as_secs_f64()).encode(all.encode_family(&labels)?)?;
    }
    let (name, help) = ("projection_state", "1 for the state that it is in");
    let mut all = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for it in projections {
        let labels = [("projection", it.name.as_str()), ("state", it.state.name())];
        value(MetricType::Gauge, 1, all.encode_family(&labels)?)?;
    }
    Ok(())
}

fn alone(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    figure: u64,
) -> Result<(), Error> {
    let one = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    value(MetricType::Gauge, figure, one)
}

pub(super) fn value(
    kind: MetricType,
    figure: u64,
    encoder: prometheus_client::encoding::MetricEncoder<'_>,
) -> Result<(), Error> {
    match kind {
        MetricType::Counter => ConstCounter::new(figure).encode(encoder),
        _ => ConstGauge::new(i64::try_from(figure).unwrap_or(i64::MAX)).encode(encoder),
    }
}
