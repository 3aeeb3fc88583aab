//! `read`: everything in order, from files, with all checks, by processor time; and `read-stream`: one stream at a
//! time whose events lie far apart. Both against tephra, in turns.

use super::{Bench, Fault, peer::number};
use crate::{
    harness::{
        LogStore, Reads, Store, bytes_in, cpu_time, drop_page_cache, fill, read_some,
        resident_bytes,
    },
    report::{Row, median, median_ratio},
};
use std::{path::Path, time::Instant};

/// Events in each stream.
const EVENTS_EACH: u64 = 10;

/// Fills both, opens both anew without their files in the page cache, and reads.
pub fn run(bench: &mut Bench<'_>, directory: &Path) -> Result<(), Fault> {
    let (streams, body) = (bench.options.streams, bench.options.body_bytes);
    let store = LogStore::open(directory)?;
    fill(&store, streams, EVENTS_EACH, body)?;
    store.close()?;
    drop_page_cache(directory)?;
    let store = LogStore::open_to_read(directory)?;
    if let Some(peer) = &mut bench.peer {
        // It may hold what was appended to it before.
        peer.tell("close tephra")?;
        peer.tell(&format!("fill tephra {streams} {EVENTS_EACH} {body}"))?;
        peer.tell("open tephra")?;
    }
    for (name, how) in [("read-stream", "cold"), ("read-stream-warm", "warm")] {
        read_streams(bench, &store, directory, name, how)?;
    }
    read_everything(bench, &store, directory)
}

fn read_streams(
    bench: &mut Bench<'_>,
    store: &LogStore,
    directory: &Path,
    name: &'static str,
    how: &str,
) -> Result<(), Fault> {
    let (streams, reads) = (bench.options.streams, bench.options.reads);
    let cold = (how == "cold").then_some(directory);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for seed in 0..bench.options.slices as u64 {
        let Reads { time, latencies, .. } =
            read_some(store, cold, streams, EVENTS_EACH, reads, seed)?;
        ours.push(reads as f64 / time.as_secs_f64());
        p50.push(latencies.value_at_quantile(0.5) as f64 / 1_000.0);
        p99.push(latencies.value_at_quantile(0.99) as f64 / 1_000.0);
        if let Some(peer) = &mut bench.peer {
            let command =
                format!("read-stream tephra {streams} {EVENTS_EACH} {reads} {how} {seed}");
            let answer = peer.tell(&command)?;
            theirs.push(number(&answer, "reads") / number(&answer, "seconds"));
        }
    }
    let row = Row {
        events: Some(u64::from(streams) * EVENTS_EACH),
        ..Row::new(name, 1, median(ours.iter().copied()), "streams/s")
            .latencies(median(p50), median(p99))
    };
    Ok(bench.report.row(&held_against_tephra(row, &ours, &theirs))?)
}

fn read_everything(bench: &mut Bench<'_>, store: &LogStore, directory: &Path) -> Result<(), Fault> {
    let (mut ours, mut theirs, mut passed) = (Vec::new(), Vec::new(), Vec::new());
    let mut events = 0;
    for _ in 0..bench.options.slices {
        let (started, cpu) = (Instant::now(), cpu_time());
        (events, _) = store.read_all()?;
        passed.push(events as f64 / started.elapsed().as_secs_f64());
        ours.push(events as f64 / (cpu_time() - cpu).as_secs_f64());
        if let Some(peer) = &mut bench.peer {
            let answer = peer.tell("read tephra")?;
            theirs.push(number(&answer, "events") / number(&answer, "cpu_seconds"));
        }
    }
    let row = Row {
        events: Some(events),
        bytes: Some(bytes_in(directory)?),
        resident_bytes: Some(resident_bytes()),
        ..Row::new("read", 1, median(ours.iter().copied()), "events/s")
    };
    bench.report.row(&held_against_tephra(row, &ours, &theirs))?;
    Ok(bench.report.row(&Row::new("read-passed", 1, median(passed), "events/s"))?)
}

fn held_against_tephra(row: Row, ours: &[f64], theirs: &[f64]) -> Row {
    if theirs.is_empty() {
        return row;
    }
    row.against("tephra", median(theirs.iter().copied()), median_ratio(ours, theirs))
}
