//! `commands`: through the whole runtime to the durable reply, against a raw log in batches of the same size.

use crate::{
    raw::RawLog,
    report::{Report, Row, median, median_ratio},
    workload::{BODY_BYTES, Measured, Record, Recorder, run},
};
use kronika::{Commands, Kronika, Log, LogSettings};
use std::{error::Error, path::Path, sync::Arc, time::Duration};

/// How long and how often is measured.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Slices of ours and of the limit, in turns.
    pub slices: usize,
    /// Time of one slice.
    pub slice: Duration,
    /// Callers of each row.
    pub callers: Vec<usize>,
}

/// Aggregates of the row `many`.
const MANY: u32 = 10_000;
/// Bytes around an event's body in the raw log's batches: what a journal must write with it at least.
const FRAME_BYTES: usize = 64;

/// Runs both rows for every number of callers.
pub async fn bench(
    directory: &Path,
    effort: &Effort,
    report: Report,
) -> Result<(), Box<dyn Error>> {
    let mut raw = RawLog::create(&directory.join("raw"), 256 << 20)?;
    let log = Log::open(&directory.join("journal"), LogSettings::default())?;
    let service = Kronika::builder()
        .journal(Arc::new(log.clone()))
        .aggregate(Commands::<Recorder>::default().on::<Record>())
        .start()
        .await?;
    for (name, aggregates) in [("many", MANY), ("hot", 1)] {
        // Loads what will be commanded, and lets segments be made ahead.
        run(&service, 256, 0..aggregates, effort.slice).await?;
        for &callers in &effort.callers {
            let row = measure(name, &service, &log, &mut raw, callers, aggregates, effort).await?;
            report.row(&row)?;
        }
    }
    service.stop().await;
    Ok(())
}

async fn measure(
    name: &'static str,
    service: &Kronika,
    log: &Log,
    raw: &mut RawLog,
    callers: usize,
    aggregates: u32,
    effort: &Effort,
) -> Result<Row, Box<dyn Error>> {
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..effort.slices {
        let before = log.stats();
        let Measured { commands, time, latencies } =
            run(service, callers, 0..aggregates, effort.slice).await?;
        let after = log.stats();
        let batch = (after.events - before.events) as f64 / (after.commits - before.commits) as f64;
        let bytes = (batch * (BODY_BYTES + FRAME_BYTES) as f64) as usize;
        let limit = raw.run(effort.slice / 2, bytes)?.rate() * batch;
        ours.push(commands as f64 / time.as_secs_f64());
        limits.push(limit);
        p50.push(latencies.value_at_quantile(0.5) as f64 / 1_000.0);
        p99.push(latencies.value_at_quantile(0.99) as f64 / 1_000.0);
    }
    let ratio = median_ratio(&ours, &limits);
    Ok(Row::new(name, callers, median(ours), "events/s")
        .latencies(median(p50), median(p99))
        .against("raw log", median(limits), ratio))
}
