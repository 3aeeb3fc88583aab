//! What the log counts of itself since it was opened.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters, written by the commit thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
}

/// What a log has made durable since it was opened, and what its index holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStats {
    /// Commits: one write and one sync each.
    pub commits: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of them, headers included.
    pub bytes: u64,
    /// Segments that have a footer and a run.
    pub sealed_segments: u32,
    /// Runs of the index: few, however many segments there are.
    pub runs: usize,
    /// Bytes of the runs' filters in memory.
    pub filter_bytes: u64,
    /// Streams of which the index holds something in memory.
    pub streams_in_memory: usize,
    /// Why segments are not sealed now, if so: the log goes on, with more in memory.
    pub sealing_failure: Option<String>,
}

impl Counters {
    /// One more commit is durable.
    pub(crate) fn commit(&self, events: u32, bytes: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(u64::from(events), Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> LogStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogStats {
            commits: read(&self.commits),
            events: read(&self.events),
            bytes: read(&self.bytes),
            ..LogStats::default()
        }
    }
}
