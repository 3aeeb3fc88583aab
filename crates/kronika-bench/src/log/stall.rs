//! `stall`: the longest append while several segments are filled, rolled and sealed, against the longest raw sync
//! of the same run, slices in turns and of the same length.

use super::{Bench, Fault, Load};
use crate::{
    harness::{LogStore, bytes_in},
    raw::RawLog,
    report::{Row, median},
};
use kronika::LogSettings;
use std::path::Path;

const CALLERS: usize = 64;
/// Slices after which it is over, however slow the disk is.
const SLICES_MAX: usize = 1_000;

/// One row, in milliseconds. Its ratio is that of the longest ones, not a median.
pub fn run(bench: &Bench<'_>, directory: &Path) -> Result<(), Fault> {
    let mut raw = RawLog::create(&directory.join("raw"), bench.options.raw_bytes)?;
    let segment_bytes = bench.options.stall_segment_bytes;
    let settings = LogSettings { segment_bytes, ..LogSettings::default() };
    let store = LogStore::open_with(&directory.join("log"), settings)?;
    let mut load = Load::new(store.clone());
    // Segments have their full size afterwards.
    load.slice(bench, CALLERS)?;
    let begun = store.log.stats().bytes;
    let (mut longest_ours, mut longest_sync) = (0_f64, 0_f64);
    let (mut rates, mut p50, mut p99) = (Vec::new(), Vec::new(), Vec::new());
    let filled = || (store.log.stats().bytes - begun) / segment_bytes;
    while (filled() < bench.options.stall_segments || rates.len() < bench.options.slices)
        && rates.len() < SLICES_MAX
    {
        let appended = load.slice(bench, CALLERS)?;
        longest_ours = longest_ours.max(appended.measured.longest_us());
        rates.push(appended.measured.rate());
        p50.push(appended.measured.quantile_us(0.5));
        p99.push(appended.measured.quantile_us(0.99));
        let syncs = raw.run(bench.options.slice, appended.bytes_per_commit)?;
        longest_sync = longest_sync.max(syncs.latencies.max() as f64 / 1_000.0);
    }
    let row = Row::new("stall", CALLERS, longest_ours / 1_000.0, "ms")
        .latencies(median(p50), median(p99))
        .against("longest sync", longest_sync / 1_000.0, longest_ours / longest_sync);
    let events = Some(store.log.stats().events);
    let bytes = Some(bytes_in(&directory.join("log"))?);
    bench.report.row(&Row { events, bytes, ..row })?;
    Ok(())
}
