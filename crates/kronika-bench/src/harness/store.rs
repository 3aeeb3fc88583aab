//! What a store must do to be measured, and the ways it is driven beside the closed loop.

use super::{Bodies, Caller, cpu_time, drop_page_cache, histogram};
use hdrhistogram::Histogram;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Streams in one durable call while a store is filled.
const FILL_EVENTS: usize = 1_000;

/// A store of events with streams. What it acknowledges is durable.
pub trait Store: Sized + Send + Sync + 'static {
    /// A caller of its own.
    type Caller: Caller;

    /// Opens what is in a directory, or begins anew.
    fn open(directory: &Path) -> Result<Self, String>;
    /// Opens what is in a directory so that what is read comes from files.
    fn open_to_read(directory: &Path) -> Result<Self, String> {
        Self::open(directory)
    }
    /// The caller of a number; each is asked for once.
    fn caller(&self, number: u32) -> Self::Caller;
    /// Appends an event to each of these streams, in one durable call. `version` events are in each before it.
    fn append_round(
        &self,
        streams: &[u32],
        version: u64,
        bodies: &mut Bodies,
    ) -> Result<(), String>;
    /// Reads a stream that was filled; gives the number of events and of bytes in their bodies.
    fn read_stream(&self, stream: u32) -> Result<(u64, u64), String>;
    /// Reads everything in order; gives the number of events and of bytes in their bodies.
    fn read_all(&self) -> Result<(u64, u64), String>;
    /// Ends it.
    fn close(self) -> Result<(), String>;
}

/// Fills a store with `rounds` events in each of so many streams. In each round the streams come in another
/// order, so that the events of one stream lie far apart.
pub fn fill(
    store: &impl Store,
    streams: u32,
    rounds: u64,
    body_bytes: usize,
) -> Result<(), String> {
    let mut bodies = Bodies::new(body_bytes, 1);
    let mut order: Vec<u32> = (0..streams).collect();
    for round in 0..rounds {
        fastrand::Rng::with_seed(round).shuffle(&mut order);
        for some in order.chunks(FILL_EVENTS) {
            store.append_round(some, round, &mut bodies)?;
        }
    }
    Ok(())
}

/// What reading came to.
#[derive(Debug, Clone)]
pub struct Reads {
    /// Events read.
    pub events: u64,
    /// Time of the reading alone.
    pub time: Duration,
    /// Processor time of the process meanwhile.
    pub cpu: Duration,
    /// Latencies of single reads in nanoseconds.
    pub latencies: Histogram<u64>,
}

/// Reads so many streams, one after the other, chosen by a seed. `cold` drops the store's files from the page cache
/// before each of them; else each was read once before it is measured. Each must have `rounds` events.
pub fn read_some(
    store: &impl Store,
    cold: Option<&Path>,
    streams: u32,
    rounds: u64,
    reads: usize,
    seed: u64,
) -> Result<Reads, String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut done =
        Reads { events: 0, time: Duration::ZERO, cpu: Duration::ZERO, latencies: histogram() };
    for _ in 0..reads {
        let stream = random.u32(..streams);
        match cold {
            Some(directory) => {
                drop_page_cache(directory).map_err(|error| format!("the page cache: {error}"))?
            }
            None => drop(store.read_stream(stream)?),
        }
        let (started, cpu) = (Instant::now(), cpu_time());
        let (events, _) = store.read_stream(stream)?;
        let time = started.elapsed();
        if events != rounds {
            return Err(format!("stream {stream} has {events} events instead of {rounds}"));
        }
        done.events += events;
        done.time += time;
        done.cpu += cpu_time() - cpu;
        done.latencies.saturating_record(time.as_nanos() as u64);
    }
    Ok(done)
}
