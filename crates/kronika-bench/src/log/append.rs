//! `append`: callers in a closed loop, against the raw log and against tephra.

use super::{Appended, Bench, Fault, Load, peer::number};
use crate::{
    harness::{LogStore, Store},
    raw::{RawFigures, RawLog},
    report::{Row, median, median_ratio},
};
use serde_json::Value;
use std::{path::Path, time::Duration};

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

/// What something came to in the slices.
#[derive(Default)]
struct Slices {
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    cpu: Vec<f64>,
}

impl Slices {
    fn push_raw(&mut self, figures: &RawFigures, events_each: f64) {
        self.rates.push(figures.rate() * events_each);
        self.p50.push(figures.quantile_us(0.5));
        self.p99.push(figures.quantile_us(0.99));
    }

    fn push_peer(&mut self, answer: &Value) {
        let events = number(answer, "events");
        self.rates.push(events / number(answer, "seconds"));
        self.p50.push(number(answer, "p50_us"));
        self.p99.push(number(answer, "p99_us"));
        self.cpu.push(number(answer, "cpu_seconds") * 1e6 / events);
    }

    fn push_ours(&mut self, appended: &Appended) {
        let Appended { measured, cpu, .. } = appended;
        self.rates.push(measured.rate());
        self.p50.push(measured.quantile_us(0.5));
        self.p99.push(measured.quantile_us(0.99));
        self.cpu.push(cpu.as_secs_f64() * 1e6 / measured.events as f64);
    }
}

fn middle(numbers: &[f64]) -> f64 {
    median(numbers.iter().copied())
}

fn measure(
    bench: &mut Bench<'_>,
    load: &mut Load,
    raw: &mut RawLog,
    callers: usize,
) -> Result<(), Fault> {
    let [mut ours, mut limit, mut full, mut theirs] = std::array::from_fn(|_| Slices::default());
    let mut batches = Vec::new();
    let slice = bench.options.slice;
    let (body, style) = (bench.options.body_bytes, bench.options.style);
    let tephra =
        |time: Duration| format!("append tephra {callers} {body} {} {style}", time.as_millis());
    let against_tephra = AGAINST_TEPHRA.contains(&callers);
    if let Some(peer) = bench.peer.as_mut().filter(|_| against_tephra) {
        // Opens it, and lets it warm up.
        peer.tell(&tephra(slice / 4))?;
    }
    for _ in 0..bench.options.slices {
        let appended = load.slice(bench, callers)?;
        let (batch, bytes) = (appended.events_per_commit, appended.bytes_per_commit);
        ours.push_ours(&appended);
        batches.push(batch);
        limit.push_raw(&raw.run(slice / 2, bytes)?, batch);
        if callers > 1 {
            let all = callers as f64;
            full.push_raw(&raw.run(slice / 4, (bytes as f64 / batch * all) as usize)?, all);
        }
        if let Some(peer) = bench.peer.as_mut().filter(|_| against_tephra) {
            theirs.push_peer(&peer.tell(&tephra(slice))?);
        }
    }
    let row = Row {
        cpu_us: Some(middle(&ours.cpu)),
        events_per_commit: Some(median(batches)),
        ..Row::new("append", callers, middle(&ours.rates), "events/s")
            .latencies(middle(&ours.p50), middle(&ours.p99))
    };
    let limit_name = if callers == 1 { "sync" } else { "raw log" };
    for (name, slices) in [(limit_name, limit), ("full raw log", full), ("tephra", theirs)] {
        if slices.rates.is_empty() {
            continue;
        }
        if bench.options.each {
            eprintln!("append {callers}: {:.0?} against {name}: {:.0?}", ours.rates, slices.rates);
        }
        let row = Row {
            against_p50_us: Some(middle(&slices.p50)),
            against_p99_us: Some(middle(&slices.p99)),
            against_cpu_us: (!slices.cpu.is_empty()).then(|| middle(&slices.cpu)),
            ..row.clone()
        };
        let ratio = median_ratio(&ours.rates, &slices.rates);
        bench.report.row(&row.against(name, middle(&slices.rates), ratio))?;
    }
    Ok(())
}
