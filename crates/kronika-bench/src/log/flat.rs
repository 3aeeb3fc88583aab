//! `flat`: whether appending stays as fast, and the memory as small, as the journal grows by powers of ten.
//!
//! One append in ten opens a stream, the others go to any of the newest streams, 50,000 unless told otherwise: a
//! stream has about ten events and is then left alone. Bodies have 32 bytes. Before each size slices of it are
//! measured in turns with the raw log, at the same bytes in a commit.

use super::{Bench, Fault};
use crate::{
    harness::{Bodies, LogStore, Store, bytes_in, group_of, resident_bytes},
    raw::RawLog,
    report::{Row, median, median_ratio},
};
use kronika::Log;
use kronika_core::{Appended, Journal};
use std::{
    collections::VecDeque,
    path::Path,
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

const BODY_BYTES: usize = 32;
/// Events in a group, and groups under way.
const GROUP_EVENTS: usize = 1_000;
const GROUPS: usize = 4;
/// Events of all slices of a size, at most; and at most half of it.
const MEASURED_MAX: u64 = 2_000_000;

/// Two rows for each size: against the smallest one, and against the raw log.
pub fn run(bench: &Bench<'_>, directory: &Path) -> Result<(), Fault> {
    let mut raw = RawLog::create(&directory.join("raw"), bench.options.raw_bytes)?;
    let store = LogStore::open(directory)?;
    let mut load = Growing::new(&store.log, bench.runtime, bench.options.flat_live);
    let mut smallest = None;
    let last = bench.options.flat_events;
    for size in [last / 100, last / 10, last] {
        let measured = MEASURED_MAX.min(size / 2);
        load.grow(size - measured)?;
        let (mut ours, mut limits) = (Vec::new(), Vec::new());
        for slice in 1..=bench.options.slices as u64 {
            let before = store.log.stats();
            let (events, time) =
                load.grow(size - measured + measured * slice / bench.options.slices as u64)?;
            let after = store.log.stats();
            let commits = (after.commits - before.commits).max(1);
            let bytes = (after.bytes - before.bytes) / commits;
            ours.push(events as f64 / time.as_secs_f64());
            let limit = raw.run(time / 2, bytes as usize)?;
            limits.push(limit.rate() * (after.events - before.events) as f64 / commits as f64);
        }
        let rate = median(ours.iter().copied());
        let first = *smallest.get_or_insert(rate);
        let row = Row {
            events: Some(size),
            bytes: Some(bytes_in(&directory.join("journal"))?),
            resident_bytes: Some(resident_bytes()),
            ..Row::new("flat", GROUPS, rate, "events/s")
        };
        bench.report.row(&row.clone().against("smallest", first, rate / first))?;
        let ratio = median_ratio(&ours, &limits);
        bench.report.row(&row.against("raw log", median(limits), ratio))?;
    }
    Ok(())
}

type UnderWay = Pin<Box<dyn Future<Output = Vec<Appended>>>>;

/// A log that grows.
struct Growing<'a> {
    log: &'a Log,
    runtime: &'a Runtime,
    /// Of every stream that was opened: two bytes each, also in the resident memory.
    versions: Vec<u16>,
    /// So many of them, the newest ones, are appended to.
    live: u32,
    events: u64,
    random: fastrand::Rng,
    bodies: Bodies,
    under_way: VecDeque<UnderWay>,
}

impl<'a> Growing<'a> {
    fn new(log: &'a Log, runtime: &'a Runtime, live: u32) -> Self {
        Self {
            log,
            runtime,
            versions: Vec::new(),
            live: if live == 0 { u32::MAX } else { live },
            events: 0,
            random: fastrand::Rng::with_seed(1),
            bodies: Bodies::new(BODY_BYTES, 1),
            under_way: VecDeque::new(),
        }
    }

    /// Appends until there are so many events, all of them durable; gives how many that were, and the time.
    fn grow(&mut self, size: u64) -> Result<(u64, Duration), Fault> {
        let (begun, before) = (Instant::now(), self.events);
        while self.events < size {
            let count = GROUP_EVENTS.min((size - self.events) as usize);
            let streams: Vec<_> = (0..count).map(|_| self.next_stream()).collect();
            let group = group_of(streams.into_iter(), &mut self.bodies);
            self.under_way.push_back(Box::pin(self.log.append(group)));
            if self.under_way.len() >= GROUPS {
                self.settle()?;
            }
        }
        while !self.under_way.is_empty() {
            self.settle()?;
        }
        Ok((self.events - before, begun.elapsed()))
    }

    /// The stream of the next event, and its version before it.
    fn next_stream(&mut self) -> (u32, u64) {
        let opens = self.events.is_multiple_of(10);
        self.events += 1;
        if opens {
            self.versions.push(1);
            return (self.versions.len() as u32 - 1, 0);
        }
        let streams = self.versions.len() as u32;
        let stream = self.random.u32(streams.saturating_sub(self.live)..streams);
        let version = &mut self.versions[stream as usize];
        *version += 1;
        (stream, u64::from(*version) - 1)
    }

    fn settle(&mut self) -> Result<(), Fault> {
        let oldest = self.under_way.pop_front().expect("one is under way");
        for appended in self.runtime.block_on(oldest) {
            appended?;
        }
        Ok(())
    }
}
