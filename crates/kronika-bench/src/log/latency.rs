//! `latency`: appends that arrive by themselves at half of what 64 callers reach, each measured from the moment it
//! was meant to be sent, so that a slow answer does not hide the ones that should have come after it.
//!
//! Held against the raw sync at the same percentile: a write and a sync of as many bytes as a commit has, back to
//! back, in turns with ours.

use super::{Bench, Fault, Load};
use crate::{
    arrivals::Arrivals,
    harness::{Bodies, Latencies, LogCaller, LogStore, Store},
    raw::RawLog,
    report::{Row, median, median_ratio},
};
use hdrhistogram::Histogram;
use kronika::Log;
use kronika_core::Journal;
use std::{path::Path, thread, time::Instant};
use tokio::task::JoinSet;

/// Callers of the closed loop whose half is taken.
const CALLERS: usize = 64;
/// Streams that appends go to, one after the other.
const STREAMS: u32 = 1024;

/// A row with both percentiles, and one for each against the raw sync.
pub fn run(bench: &Bench<'_>, directory: &Path) -> Result<(), Fault> {
    let mut raw = RawLog::create(&directory.join("raw"), bench.options.raw_bytes)?;
    let store = LogStore::open(directory)?;
    let mut load = Load::new(store.clone());
    load.slice(bench, CALLERS)?;
    let closed = (0..bench.options.slices.min(3)).map(|_| load.slice(bench, CALLERS));
    let closed = closed.map(|slice| slice.map(|slice| slice.measured.rate()));
    let closed = median(closed.collect::<Result<Vec<_>, _>>()?);
    let mut callers: Vec<_> =
        (0..STREAMS).map(|number| store.caller(CALLERS as u32 + number)).collect();
    let mut ours = [const { Vec::new() }; 2];
    let mut syncs = [const { Vec::new() }; 2];
    let (mut rates, mut batches) = (Vec::new(), Vec::new());
    for seed in 0..bench.options.slices {
        let before = store.log.stats();
        let (rate, time, seed) = (closed / 2.0, bench.options.slice, seed as u64);
        let arrivals = Arrivals { rate, time, seed };
        let appends = Appends { arrivals, body_bytes: bench.options.body_bytes };
        let (rate, latencies) = appends.run(bench, &store.log, &mut callers)?;
        let after = store.log.stats();
        let commits = (after.commits - before.commits).max(1);
        rates.push(rate);
        batches.push((after.events - before.events) as f64 / commits as f64);
        let bytes = ((after.bytes - before.bytes) / commits) as usize;
        let sync = raw.run(bench.options.slice / 2, bytes)?;
        for (place, quantile) in [0.5, 0.99].into_iter().enumerate() {
            ours[place].push(latencies.value_at_quantile(quantile) as f64 / 1_000.0);
            syncs[place].push(sync.quantile_us(quantile));
        }
    }
    let [p50, p99] = [&ours[0], &ours[1]].map(|figures| median(figures.iter().copied()));
    bench.report.row(&Row {
        events_per_commit: Some(median(batches)),
        ..Row::new("latency", CALLERS, median(rates), "events/s").latencies(p50, p99)
    })?;
    for (place, name) in ["latency-p50", "latency-p99"].into_iter().enumerate() {
        let ratio = median_ratio(&ours[place], &syncs[place]);
        let sync = median(syncs[place].iter().copied());
        let figure = median(ours[place].iter().copied());
        bench.report.row(&Row::new(name, CALLERS, figure, "us").against("sync", sync, ratio))?;
    }
    Ok(())
}

/// Appends that arrive by themselves.
struct Appends {
    arrivals: Arrivals,
    body_bytes: usize,
}

impl Appends {
    /// Sends them from a thread of its own; gives how many were answered a second, and their latencies.
    fn run(
        &self,
        bench: &Bench<'_>,
        log: &Log,
        callers: &mut [LogCaller],
    ) -> Result<(f64, Histogram<u64>), Fault> {
        let latencies = Latencies::default();
        let started = Instant::now();
        let mut answers = thread::scope(|scope| {
            let sending = scope.spawn(|| self.send(bench, log, callers, &latencies));
            sending.join().expect("the sending thread does not panic")
        });
        bench.runtime.block_on(async {
            while let Some(answered) = answers.join_next().await {
                answered??;
            }
            Ok::<_, Fault>(())
        })?;
        let seconds = started.elapsed().as_secs_f64();
        let all = latencies.sum();
        Ok((all.len() as f64 / seconds, all))
    }

    fn send(
        &self,
        bench: &Bench<'_>,
        log: &Log,
        callers: &mut [LogCaller],
        latencies: &Latencies,
    ) -> JoinSet<Result<(), String>> {
        let mut bodies = Bodies::new(self.body_bytes, self.arrivals.seed);
        let mut answers = JoinSet::new();
        self.arrivals.run(|number, intended| {
            let append = callers[number % callers.len()].next(bodies.next());
            let appended = log.append(vec![append]);
            let latencies = latencies.clone();
            let wait = async move {
                let answer = appended.await;
                let latency = intended.elapsed().as_nanos() as u64;
                latencies.record(number, latency);
                answer.into_iter().try_for_each(|one| one.map(drop)).map_err(|e| e.to_string())
            };
            answers.spawn_on(wait, bench.runtime.handle());
            while answers.try_join_next().is_some_and(|answered| matches!(answered, Ok(Ok(())))) {}
        });
        answers
    }
}
