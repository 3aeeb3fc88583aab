//! What the log counts of itself since it was opened.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters, written by the commit thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
}

/// What a log has made durable since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStats {
    /// Commits: one write and one sync each.
    pub commits: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of them, headers included.
    pub bytes: u64,
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
        }
    }
}
