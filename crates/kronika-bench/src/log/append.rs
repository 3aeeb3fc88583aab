//! `append`: callers in a closed loop, against the raw log and against tephra.

use super::{Bench, Fault, Load, peer::number};
use crate::{
    harness::{LogStore, Store},
    raw::RawLog,
    report::{Row, median, median_ratio},
};
use std::path::Path;

/// Callers that are held against tephra too: those of 64 and 256.
const AGAINST_TEPHRA: std::ops::RangeInclusive<usize> = 2..=512;

/// One row for each number of callers and each thing that it is held against.
pub fn run(bench: &mut Bench<'_>, directory: &Path) -> Result<(), Fault> {
    let mut raw = RawLog::create(&directory.join("raw"), bench.options.raw_bytes)?;
    let mut load = Load::new(LogStore::open(directory)?);
    // Segments have their full size afterwards.
    load.slice(bench, 64)?;
    for callers in bench.options.callers.clone() {
        measure(bench, &mut load, &mut raw, callers)?;
    }
    Ok(())
}

fn measure(
    bench: &mut Bench<'_>,
    load: &mut Load,
    raw: &mut RawLog,
    callers: usize,
) -> Result<(), Fault> {
    let (mut ours, mut limits, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut p50, mut p99, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cpu, mut their_cpu) = (Vec::new(), Vec::new());
    let slice = bench.options.slice;
    let tephra = format!("append tephra {callers} {} ", bench.options.body_bytes);
    let against_tephra = AGAINST_TEPHRA.contains(&callers);
    if let Some(peer) = bench.peer.as_mut().filter(|_| against_tephra) {
        // Opens it, and lets it warm up.
        peer.tell(&format!("{tephra}{}", slice.as_millis() / 4))?;
    }
    for _ in 0..bench.options.slices {
        let appended = load.slice(bench, callers)?;
        ours.push(appended.measured.rate());
        p50.push(appended.measured.quantile_us(0.5));
        p99.push(appended.measured.quantile_us(0.99));
        batches.push(appended.events_per_commit);
        cpu.push(appended.cpu.as_secs_f64() * 1e6 / appended.measured.events as f64);
        let limit = raw.run(slice / 2, appended.bytes_per_commit)?;
        limits.push(limit.rate() * appended.events_per_commit);
        if let Some(peer) = bench.peer.as_mut().filter(|_| against_tephra) {
            let answer = peer.tell(&format!("{tephra}{}", slice.as_millis()))?;
            theirs.push(number(&answer, "events") / number(&answer, "seconds"));
            their_cpu.push(number(&answer, "cpu_seconds") * 1e6 / number(&answer, "events"));
        }
    }
    let row = Row {
        cpu_us: Some(median(cpu)),
        events_per_commit: Some(median(batches)),
        ..Row::new("append", callers, median(ours.iter().copied()), "events/s")
            .latencies(median(p50), median(p99))
    };
    let limit = if callers == 1 { "sync" } else { "raw log" };
    for (name, figures) in [(limit, limits), ("tephra", theirs)] {
        if !figures.is_empty() {
            if bench.options.each {
                eprintln!("append {callers}: {ours:.0?} against {name}: {figures:.0?}");
            }
            let ratio = median_ratio(&ours, &figures);
            let against_cpu_us = (name == "tephra").then(|| median(their_cpu.iter().copied()));
            let row = Row { against_cpu_us, ..row.clone() };
            bench.report.row(&row.against(name, median(figures), ratio))?;
        }
    }
    Ok(())
}
